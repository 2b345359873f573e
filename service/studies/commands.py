"""What users may start beside a run: a search, an ablation, and a plan of a run that is not there yet."""

import time
from collections.abc import Callable, Mapping

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.access.own_project import in_own_project
from service.artifacts.layout import ArtifactLayout
from service.config.events import EventKind
from service.config.names import derived_name
from service.config.run import GenerationPlan, PlanRequest, PlanSettings, RunConfig
from service.config.studies import AblationRequest, SearchRequest
from service.errors import Conflict, InvalidRequest
from service.lifecycle.states import RunKind, StageState
from service.model_catalog import CatalogModel, load_catalog
from service.plans.preflight import check_plan_request
from service.plans.view_builder import plan_view
from service.retention.store import labels_are_collected
from service.runs.batch_check import check_batches
from service.runs.checks import check_model, check_noise, check_search
from service.runs.preflight import check_new_run
from service.settings import Settings
from service.stages.generation_plans import generation_plans
from service.store.database import Database
from service.store.dataset_store import load_classes
from service.store.idempotency import OnceAnswers, request_hash
from service.store.paging import get_row
from service.store.run_store import (
    add_event,
    insert_derived_run,
    load_config,
    load_plans,
    load_spec_inputs,
    lock_run,
    new_id,
    run_kind,
)
from service.store.schema.tables import RunRow, StageRow
from service.studies.view_builder import DerivedViews
from service.views.plans import PlanView
from service.views.studies import AblationView, SearchView
from workers.specs.recipe import Recipe


class DerivedCommands:
    """Thread-safe. Every command raises InvalidRequest, NotFound or Conflict before it has changed anything.

    Each is a run of one stage: what can be done with a run's id (events, stages, logs, cancel, retry) can be done with
    theirs.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        clock: Callable[[], float] = time.time,
        catalog: Mapping[str, CatalogModel] | None = None,
    ) -> None:
        self._database = database
        self._layout = ArtifactLayout(settings.artifact_root)
        self._views = DerivedViews(self._layout)
        self._tick_seconds = settings.tick_seconds
        self._answers = OnceAnswers(database, clock)
        self._catalog = catalog

    def create_search(self, request: SearchRequest, idempotency_key: str | None = None) -> SearchView:
        """Searches for the student of a generation whose images are labeled and selected, or for a teacher."""
        asked = request_hash("create_search", request)

        def create(session: Session, now: float) -> SearchView:
            config, plan = _source(session, request.run_id, request.generation, now)
            model, recipe = _student(session, request.run_id, request.generation)
            plan = plan.model_copy(
                update={
                    "model": request.model or model,
                    "recipe": request.recipe or recipe,
                    "search": request.settings,
                    "seed": plan.seed if request.seed is None else request.seed,
                }
            )
            self._check_search(session, request, plan, config)
            search_id = new_id("search")
            named = config.model_copy(update={"name": request.name or derived_name("search beside", config.name)})
            insert_derived_run(session, search_id, RunKind.SEARCH, request.run_id, named, request.generation, plan, now)
            add_event(
                session,
                search_id,
                now,
                EventKind.SEARCH_CREATED,
                f"generation {request.generation} of {request.run_id}",
            )
            session.flush()
            return self._views.search(session, search_id)

        return self._answers.once(idempotency_key, asked, SearchView, create)

    def create_ablation(
        self, run_id: str, request: AblationRequest, idempotency_key: str | None = None
    ) -> AblationView:
        """Trains a generation's student without each part of the method in turn."""
        asked = request_hash(f"create_ablation {run_id}", request)

        def create(session: Session, now: float) -> AblationView:
            generation = _last_student(session, run_id) if request.generation is None else request.generation
            config, plan = _source(session, run_id, generation, now)
            model, recipe = _student(session, run_id, generation)
            model, recipe = request.model or model, request.recipe or recipe
            check_model("model", model, self._models())
            check_noise("recipe", recipe, model, self._models())
            check_batches("recipe", recipe, workers=1, pseudo_labeled=True)
            smaller = request.settings.smaller_student
            if smaller is not None:
                check_model("settings.smaller_student", smaller, self._models())
                check_noise("settings.smaller_student", recipe, smaller, self._models())
            plan = plan.model_copy(
                update={
                    "model": model,
                    "recipe": recipe,
                    "ablation": request.settings,
                    "seed": plan.seed if request.seed is None else request.seed,
                }
            )
            ablation_id = new_id("ablation")
            named = config.model_copy(update={"name": request.name or derived_name("ablation of", config.name)})
            insert_derived_run(session, ablation_id, RunKind.ABLATION, run_id, named, generation, plan, now)
            add_event(session, ablation_id, now, EventKind.ABLATION_CREATED, f"generation {generation} of {run_id}")
            session.flush()
            return self._views.ablation(session, ablation_id)

        return self._answers.once(idempotency_key, asked, AblationView, create)

    def create_plan(self, request: PlanRequest, idempotency_key: str | None = None) -> PlanView:
        """Measures what a run would take, which is checked as if it were to be started."""
        request = request.model_copy(update={"run": in_own_project(request.run)})
        asked = request_hash("create_plan", request)
        if (answer := self._answers.first(idempotency_key, asked, PlanView)) is not None:
            return answer
        try:
            check_new_run(self._database, self._layout, request.run, self._models())
        except InvalidRequest as error:
            raise InvalidRequest(f"run.{error.field}", error.message) from error
        check_plan_request(request)

        def create(session: Session, now: float) -> PlanView:
            settings = PlanSettings(**{name: getattr(request, name) for name in PlanSettings.model_fields})
            plan = generation_plans(request.run)[0].model_copy(update={"bill": settings})
            plan_id = new_id("plan")
            insert_derived_run(session, plan_id, RunKind.PLAN, None, request.run, 0, plan, now)
            add_event(session, plan_id, now, EventKind.PLAN_CREATED, request.run.name)
            session.flush()
            return plan_view(session, plan_id, self._tick_seconds)

        return self._answers.once(idempotency_key, asked, PlanView, create)

    def _check_search(self, session: Session, request: SearchRequest, plan: GenerationPlan, config: RunConfig) -> None:
        check_model("model", plan.model, self._models())
        check_noise("recipe", plan.recipe, plan.model, self._models())
        teacher = None
        if request.generation > 0 and not config.allow_smaller_student:
            teacher = load_spec_inputs(session, request.run_id).teacher_of(request.generation).model
        classes = len(load_classes(session, config.datasets.labeled))
        check_search(
            "settings",
            request.settings,
            plan.recipe,
            teacher,
            self._models(),
            classes,
            pseudo_labeled=request.generation > 0,
        )

    def _models(self) -> Mapping[str, CatalogModel]:
        return load_catalog() if self._catalog is None else self._catalog


def _source(session: Session, run_id: str, generation: int, now: float) -> tuple[RunConfig, GenerationPlan]:
    """The run's configuration and the generation's plan, once its images are labeled and selected."""
    lock_run(session, run_id, now)  # retention decides under the same lock what nobody needs any more
    if run_kind(session, run_id) is not RunKind.RUN:
        raise InvalidRequest("run_id", f"{run_id} is a {run_kind(session, run_id)}, not a run")
    plans = load_plans(session, run_id)
    if generation not in plans:
        raise InvalidRequest("generation", f"{run_id} has no generation {generation}")
    select_stage = session.get(StageRow, (run_id, generation, "select"))
    if select_stage is not None and select_stage.state != StageState.SUCCEEDED:
        raise Conflict(f"the images of generation {generation} of {run_id} are not selected yet")
    if labels_are_collected(session, run_id, generation):
        raise Conflict(f"the label files of generation {generation} of {run_id} have been collected by retention")
    return load_config(session, run_id), plans[generation]


def _student(session: Session, run_id: str, generation: int) -> tuple[str, Recipe]:
    return load_spec_inputs(session, run_id).student_of(generation)


def _last_student(session: Session, run_id: str) -> int:
    """The last generation whose images are selected."""
    selected = select(StageRow.generation).where(
        StageRow.run_id == run_id, StageRow.name == "select", StageRow.state == StageState.SUCCEEDED
    )
    generations = list(session.scalars(selected))
    get_row(session, RunRow, run_id, "run", run_id)
    if not generations:
        raise Conflict(f"{run_id} has no generation whose images are selected yet")
    return max(generations)
