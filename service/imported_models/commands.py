"""The command on models that were trained elsewhere: register one."""

import time
from collections.abc import Callable, Mapping

from sqlalchemy.orm import Session

from service.access.own_project import in_own_project
from service.config.events import EventKind
from service.config.models import RegistrationRequest
from service.config.run import GenerationPlan, RunConfig, RunDatasets
from service.dataset_roots import RootsByProject
from service.errors import InvalidRequest
from service.imported_models.view_builder import registration_view
from service.lifecycle.states import RunKind
from service.model_catalog import CatalogModel, load_catalog
from service.runs.checks import check_model
from service.store.database import Database
from service.store.idempotency import OnceAnswers, request_hash
from service.store.run_store import add_event, insert_run_of_one_stage, new_id
from service.store.schema.tables import DatasetRow
from service.views.lineage import RegistrationView
from workers.data.dataset_roots import OutsideOfRoots, plain_dataset_uri
from workers.specs.recipe import Recipe
from workers.specs.selection import SelectionSettings


class RegistrationCommands:
    """Registers models. Thread-safe. A registration is a run of one stage; its id works for events, logs, cancel and
    retry."""

    def __init__(
        self,
        database: Database,
        roots: RootsByProject,
        clock: Callable[[], float] = time.time,
        catalog: Mapping[str, CatalogModel] | None = None,
    ) -> None:
        self._database = database
        self._roots = roots
        self._catalog = catalog
        self._answers = OnceAnswers(database, clock)

    def register(self, request: RegistrationRequest, idempotency_key: str | None = None) -> RegistrationView:
        """Starts the check that ends with the model among the others. Raises InvalidRequest or Conflict; nothing has
        changed then."""
        request = in_own_project(request)
        asked = request_hash("register_model", request)
        if (answer := self._answers.first(idempotency_key, asked, RegistrationView)) is not None:
            return answer
        self._check(request)

        def create(session: Session, now: float) -> RegistrationView:
            registration_id = new_id("model")
            insert_run_of_one_stage(
                session, registration_id, RunKind.REGISTRATION, None, _config(request), 0, _plan(request), now
            )
            add_event(session, registration_id, now, EventKind.REGISTRATION_CREATED, request.uri)
            session.flush()
            return registration_view(session, registration_id)

        return self._answers.once(idempotency_key, asked, RegistrationView, create)

    def _check(self, request: RegistrationRequest) -> None:
        """What is known before the weights are read."""
        if request.model is not None:
            check_model("model", request.model, load_catalog() if self._catalog is None else self._catalog)
        try:
            self._roots.of(request.project).check(plain_dataset_uri(request.uri))
        except OutsideOfRoots as error:
            raise InvalidRequest("uri", str(error)) from error
        with self._database.read_once() as session:
            dataset = session.get(DatasetRow, request.check.dataset)
        if dataset is None:
            raise InvalidRequest("check.dataset", f"there is no dataset {request.check.dataset!r}")
        if dataset.rows == 0:
            raise InvalidRequest("check.dataset", f"{dataset.name!r} ({dataset.id}) has no images")


def _config(request: RegistrationRequest) -> RunConfig:
    """The configuration of the run that checks the model: all parts of its data are the images of the check."""
    checked = request.check.dataset
    return RunConfig(
        name=request.name,
        project=request.project,
        datasets=RunDatasets(labeled=checked, validation=checked, test=checked),
        teacher_model=request.model,
        generations=0,
    )


def _plan(request: RegistrationRequest) -> GenerationPlan:
    return GenerationPlan(
        model=request.model or "",
        recipe=Recipe(unlabeled_ratio=0),
        selection=SelectionSettings(),
        seed=0,
        registration=request.settings,
    )
