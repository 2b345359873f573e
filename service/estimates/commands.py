"""The command on plans: start the measurement that the estimate of a run is based on."""

import time
from collections.abc import Callable, Mapping

from sqlalchemy.orm import Session

from service.access.own_project import in_own_project
from service.artifacts.layout import ArtifactLayout
from service.config.events import EventKind
from service.config.run import EstimateRequest, EstimateSettings
from service.config.settings.groups import ReconcilerSettings
from service.dataset_roots import RootsByProject
from service.datasets.registration.inspector_pool import InspectorPool
from service.errors import InvalidRequest
from service.estimates.preflight import check_estimate_request
from service.estimates.view_builder import estimate_view
from service.lifecycle.states import RunKind
from service.model_catalog import CatalogModel, load_catalog
from service.runs.completed_config import completed
from service.runs.preflight import check_new_run
from service.stages.generation_plans import generation_plans
from service.store.database import Database
from service.store.idempotency import OnceAnswers, request_hash
from service.store.run_store import add_event, insert_run_of_one_stage, new_id
from service.views.estimates import EstimateView


class EstimateCommands:
    """Creates plans. Thread-safe. A plan is a run of one stage; its id works for events, logs, cancel and retry."""

    def __init__(
        self,
        database: Database,
        layout: ArtifactLayout,
        roots: RootsByProject,
        reconciler: ReconcilerSettings,
        inspectors: InspectorPool,
        clock: Callable[[], float] = time.time,
        catalog: Mapping[str, CatalogModel] | None = None,
    ) -> None:
        self._database = database
        self._layout = layout
        self._roots = roots
        self._tick_seconds = reconciler.tick_seconds
        self._inspectors = inspectors
        self._answers = OnceAnswers(database, clock)
        self._catalog = catalog

    def create_plan(self, request: EstimateRequest, idempotency_key: str | None = None) -> EstimateView:
        """Checks a run as if it were to start, then starts the measurement of what it would cost.

        Raises InvalidRequest, NotFound or Conflict; nothing has changed then.
        """
        request = request.model_copy(update={"run": in_own_project(request.run)})
        asked = request_hash("create_plan", request)
        if (answer := self._answers.first(idempotency_key, asked, EstimateView)) is not None:
            return answer
        catalog = load_catalog() if self._catalog is None else self._catalog
        try:
            request = request.model_copy(update={"run": completed(self._database, request.run)})
            check_new_run(self._database, self._layout, self._roots, request.run, catalog, self._inspectors)
        except InvalidRequest as error:
            raise InvalidRequest(f"run.{error.field}", error.message) from error
        check_estimate_request(request)

        def create(session: Session, now: float) -> EstimateView:
            settings = EstimateSettings(**{name: getattr(request, name) for name in EstimateSettings.model_fields})
            plan = generation_plans(request.run)[0].model_copy(update={"bill": settings})
            plan_id = new_id("plan")
            insert_run_of_one_stage(session, plan_id, RunKind.PLAN, None, request.run, 0, plan, now)
            add_event(session, plan_id, now, EventKind.PLAN_CREATED, request.run.name)
            session.flush()
            return estimate_view(session, plan_id, self._tick_seconds)

        return self._answers.once(idempotency_key, asked, EstimateView, create)
