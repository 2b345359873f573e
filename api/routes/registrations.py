"""/registrations: models that were trained elsewhere, while they are checked and afterwards."""

from fastapi import APIRouter

from api.dependencies import Cursor, Limit, RegistrationId, RegistrationQueriesOf
from api.examples.answers import answers, page_of
from api.examples.registrations import REGISTRATION, REGISTRATION_SUMMARY
from api.schemas.problem import problem_responses
from service.views.base import Page
from service.views.lineage import RegistrationSummary, RegistrationView

router = APIRouter(prefix="/registrations", tags=["models"])


@router.get(
    "",
    summary="List registrations of models",
    responses=answers(200, page_of(REGISTRATION_SUMMARY), "One page") | problem_responses(422),
)
def list_registrations(
    queries: RegistrationQueriesOf, limit: Limit = 50, cursor: Cursor = None
) -> Page[RegistrationSummary]:
    """Lists all registrations of models, newest first."""
    return queries.list_registrations(limit, cursor)


@router.get(
    "/{registration_id}",
    summary="Show a registration of a model",
    responses=answers(200, REGISTRATION, "The registration") | problem_responses(404, 422),
)
def get_registration(registration_id: RegistrationId, queries: RegistrationQueriesOf) -> RegistrationView:
    """Returns a registration, with the model and what its check found once it has passed. Its id is a run's id:
    /runs/{id} shows its stage, events and logs, and cancels or retries it."""
    return queries.get_registration(registration_id)
