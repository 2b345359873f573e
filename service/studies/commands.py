"""The commands on studies: start a search or an ablation next to a run."""

import time
from collections.abc import Callable, Mapping

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.artifacts.layout import ArtifactLayout
from service.config.events import EventKind
from service.config.names import name_beside
from service.config.run import GenerationPlan, RunConfig
from service.config.studies import AblationRequest, SearchRequest
from service.dataset_roots import RootsByProject
from service.errors import Conflict, InvalidRequest
from service.lifecycle.states import RunKind, StageState
from service.model_catalog import CatalogModel, load_catalog
from service.retention.store import labels_are_collected
from service.runs.checks import check_model, check_search
from service.runs.preflight import check_source
from service.runs.training_checks import (
    check_batches,
    check_init,
    check_noise,
    check_pretrained,
    check_training,
    check_trials,
)
from service.store.database import Database
from service.store.dataset_store import load_classes
from service.store.idempotency import OnceAnswers, request_hash
from service.store.paging import get_row
from service.store.run_store import (
    add_event,
    insert_run_of_one_stage,
    load_config,
    load_plans,
    load_spec_inputs,
    lock_run,
    new_id,
    run_kind,
)
from service.store.schema.tables import RunRow, StageRow
from service.studies.view_builder import StudyViews
from service.views.studies import AblationView, SearchView
from workers.specs.initialization import fits_any_model
from workers.specs.recipe import Recipe
from workers.specs.worker_group import WorkerGroup


class StudyCommands:
    """Creates studies. Thread-safe. A command that raises InvalidRequest, NotFound or Conflict has changed nothing.

    A study is a run of one stage; its id works for events, stages, logs, cancel and retry.
    """

    def __init__(
        self,
        database: Database,
        layout: ArtifactLayout,
        roots: RootsByProject,
        clock: Callable[[], float] = time.time,
        catalog: Mapping[str, CatalogModel] | None = None,
    ) -> None:
        self._database = database
        self._layout = layout
        self._roots = roots
        self._views = StudyViews(layout)
        self._answers = OnceAnswers(database, clock)
        self._catalog = catalog

    def create_search(self, request: SearchRequest, idempotency_key: str | None = None) -> SearchView:
        """Starts a search for the student of a generation whose images are labeled and selected, or for a teacher."""
        asked = request_hash("create_search", request)

        def create(session: Session, now: float) -> SearchView:
            config, plan = _source(session, request.run_id, request.generation, now)
            if plan.given is not None:
                raise InvalidRequest("generation", f"the teacher of {request.run_id} is given: nothing is trained here")
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
            named = config.model_copy(update={"name": request.name or name_beside("search beside", config.name)})
            insert_run_of_one_stage(
                session, search_id, RunKind.SEARCH, request.run_id, named, request.generation, plan, now
            )
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
        """Starts an ablation, which trains a generation's student without each part of the method in turn."""
        asked = request_hash(f"create_ablation {run_id}", request)

        def create(session: Session, now: float) -> AblationView:
            generation = _last_student(session, run_id) if request.generation is None else request.generation
            config, plan = _source(session, run_id, generation, now)
            model, recipe = _student(session, run_id, generation)
            model, recipe = request.model or model, request.recipe or recipe
            check_model("model", model, self._models())
            check_noise("recipe", recipe, model, self._models())
            workers = config.resources.train.workers_a_model_needs
            check_batches("recipe", recipe, workers, pseudo_labeled=True)
            check_training("recipe", recipe, _in_number(config, workers))
            teacher = load_spec_inputs(session, run_id).teacher_of(generation).model
            self._check_init(session, recipe, model, teacher, config)
            smaller = request.settings.smaller_student
            if smaller is not None:
                check_model("settings.smaller_student", smaller, self._models())
                check_noise("settings.smaller_student", recipe, smaller, self._models())
                if fits_any_model(recipe.init):
                    check_pretrained("settings.smaller_student", recipe, smaller, self._models())
            plan = plan.model_copy(
                update={
                    "model": model,
                    "recipe": recipe,
                    "ablation": request.settings,
                    "seed": plan.seed if request.seed is None else request.seed,
                }
            )
            ablation_id = new_id("ablation")
            named = config.model_copy(update={"name": request.name or name_beside("ablation of", config.name)})
            insert_run_of_one_stage(session, ablation_id, RunKind.ABLATION, run_id, named, generation, plan, now)
            add_event(session, ablation_id, now, EventKind.ABLATION_CREATED, f"generation {generation} of {run_id}")
            session.flush()
            return self._views.ablation(session, ablation_id)

        return self._answers.once(idempotency_key, asked, AblationView, create)

    def _check_search(self, session: Session, request: SearchRequest, plan: GenerationPlan, config: RunConfig) -> None:
        check_model("model", plan.model, self._models())
        check_noise("recipe", plan.recipe, plan.model, self._models())
        check_trials("settings", request.settings, config.resources.train)
        check_training("recipe", plan.recipe, _in_number(config, request.settings.workers_per_trial))
        before = None
        if request.generation > 0:
            before = load_spec_inputs(session, request.run_id).teacher_of(request.generation).model
        self._check_init(session, plan.recipe, plan.model, before, config)
        teacher = None if config.allow_smaller_student else before
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

    def _check_init(self, session: Session, recipe: Recipe, model: str, teacher: str | None, config: RunConfig) -> None:
        check_init("recipe", recipe, model, teacher, self._models())
        check_source(session, self._roots.of(config.project), "recipe", recipe, model)

    def _models(self) -> Mapping[str, CatalogModel]:
        return load_catalog() if self._catalog is None else self._catalog


def _in_number(config: RunConfig, workers: int) -> WorkerGroup:
    return config.resources.train.model_copy(update={"num_workers": workers})


def _source(session: Session, run_id: str, generation: int, now: float) -> tuple[RunConfig, GenerationPlan]:
    """Locks the run and returns its configuration and the generation's plan.

    Raises InvalidRequest, or Conflict if the generation's images are not selected or its labels are no longer there.
    """
    lock_run(session, run_id, now)  # retention decides under the same lock which labels are still needed
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
    """Returns the last generation whose images are selected. Raises NotFound, Conflict."""
    selected = select(StageRow.generation).where(
        StageRow.run_id == run_id, StageRow.name == "select", StageRow.state == StageState.SUCCEEDED
    )
    generations = list(session.scalars(selected))
    get_row(session, RunRow, run_id, "run", run_id)
    if not generations:
        raise Conflict(f"{run_id} has no generation whose images are selected yet")
    return max(generations)
