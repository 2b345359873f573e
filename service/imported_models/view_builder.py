"""Builds views of registrations from their rows."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.config.run import GenerationPlan
from service.lifecycle.states import RunKind
from service.runs.view_builder import model_view
from service.store.run_store import get_run_of_kind, load_results
from service.store.schema.tables import GenerationRow, ModelRow, RunRow
from service.store.stored_values import read_if_possible
from service.views.base import as_time, time_or_none
from service.views.lineage import RegistrationSummary, RegistrationView
from workers.specs.model_card import model_id
from workers.specs.results import VerifyResult


def registration_view(session: Session, registration_id: str) -> RegistrationView:
    """Returns the registration with what its check has found. Raises NotFound."""
    row = get_run_of_kind(session, registration_id, RunKind.REGISTRATION)
    statement = select(GenerationRow.plan).where(GenerationRow.run_id == registration_id)
    plan = read_if_possible(GenerationPlan, session.execute(statement).scalar_one(), registration_id)
    model = session.get(ModelRow, model_id(registration_id, 0))
    result = load_results(session, registration_id, VerifyResult).get(0)
    return RegistrationView(
        **registration_summary(row).model_dump(),
        settings=None if plan is None else plan.registration,
        model=None if model is None else model_view(model),
        input=None if result is None else result.initial_weights.configuration,
        check=None if result is None else result.check,
    )


def registration_summary(row: RunRow) -> RegistrationSummary:
    return RegistrationSummary(
        id=row.id,
        name=row.name,
        project=row.project,
        state=row.state,
        state_reason=row.state_reason,
        created_at=as_time(row.created_at),
        finished_at=time_or_none(row.finished_at),
    )
