"""The commands on runs: create, extend, pause, resume, cancel, retry, and change the priority."""

import time
from collections.abc import Callable, Iterator, Mapping

from sqlalchemy.orm import Session

from service.access.own_project import in_own_project
from service.artifacts.layout import ArtifactLayout
from service.config.events import EventKind
from service.config.run import MAX_GENERATIONS, GenerationOverrides, GenerationPlan, RunChanges, RunConfig
from service.config.settings.groups import RaySettings
from service.config.stage_key import StageKey
from service.dataset_roots import RootsByProject
from service.datasets.registration.inspector_pool import InspectorPool
from service.errors import Conflict, InvalidRequest
from service.lifecycle.states import UNFINISHED_RUNS, GenerationState, RunKind, RunState, StageState
from service.model_catalog import CatalogModel, load_catalog
from service.runs.checks import check_model, check_not_smaller, check_search
from service.runs.completed_config import completed
from service.runs.preflight import CheckedRun, check_new_run, check_pool, check_source, teacher_facts
from service.runs.progress import ProgressReader
from service.runs.training_checks import (
    check_batches,
    check_init,
    check_noise,
    check_training,
    check_trials,
    check_views,
)
from service.runs.view_builder import ViewBuilder
from service.scheduling.queue_places import QueuePlaces
from service.stages.generation_plans import generation_plans, student_plan
from service.store.database import Database
from service.store.dataset_store import load_classes
from service.store.idempotency import OnceAnswers, request_hash
from service.store.run_rows import load_run_rows
from service.store.run_store import (
    add_event,
    get_run_of_kind,
    insert_generation,
    insert_run,
    load_config,
    load_plans,
    lock_run,
    new_id,
    run_kind,
    set_priority,
    set_ready,
)
from service.store.snapshot_store import load_snapshot
from service.store.transitions import set_generation_state, set_run_state, set_stage_state
from service.views.runs import RunView

_NOT_COMPARED = (
    "{} is too large to be hashed at registration, so its images have not been compared yet. The train stage of "
    "generation 0 compares the labeled images with all evaluation images, and each label stage the unlabeled ones."
)
_TEACHER_NOT_COMPARED = (
    "{} learned from {}, which is too large to be hashed at registration: whether it shares images with the evaluation "
    "images has not been compared, and no stage does."
)


class RunCommands:
    """Thread-safe. Every command that raises InvalidRequest, NotFound or Conflict has changed nothing.

    `clock` returns Unix seconds. `catalog` holds timm's models by name; the default is the shipped catalogue.
    """

    def __init__(
        self,
        database: Database,
        layout: ArtifactLayout,
        roots: RootsByProject,
        ray: RaySettings,
        places: QueuePlaces,
        inspectors: InspectorPool,
        clock: Callable[[], float] = time.time,
        catalog: Mapping[str, CatalogModel] | None = None,
    ) -> None:
        self._database = database
        self._layout = layout
        self._roots = roots
        self._views = ViewBuilder(layout, ray)
        self._places = places
        self._inspectors = inspectors
        self._progress = ProgressReader(self._layout)
        self._clock = clock
        self._catalog = catalog
        self._answers = OnceAnswers(database, clock)

    def create_run(self, config: RunConfig, idempotency_key: str | None = None) -> RunView:
        """Checks that the run can work and starts it."""
        config = in_own_project(config)
        asked = request_hash("create_run", config)
        if (answer := self._answers.first(idempotency_key, asked, RunView)) is not None:
            return self._filled(answer)
        config = completed(self._database, config)
        checked = check_new_run(self._database, self._layout, self._roots, config, self._models(), self._inspectors)
        run_id = new_id("run")

        def create(session: Session, now: float) -> RunView:
            rows = insert_run(session, run_id, config, generation_plans(config), now)
            add_event(session, run_id, now, EventKind.RUN_CREATED, config.name)
            for message in _not_compared(checked):
                add_event(session, run_id, now, EventKind.IMAGES_NOT_COMPARED, message)
            return self._views.run(rows)

        return self._filled(self._answers.once(idempotency_key, asked, RunView, create))

    def add_generation(
        self, run_id: str, overrides: GenerationOverrides, idempotency_key: str | None = None
    ) -> RunView:
        """Adds one generation to a run that has succeeded, and starts it."""
        asked = request_hash(f"add_generation {run_id}", overrides)
        if overrides.unlabeled is not None:
            with self._database.read_once() as session:
                config = load_config(session, get_run_of_kind(session, run_id, RunKind.RUN).id)
            check_pool(self._database, self._layout, config, "unlabeled", overrides.unlabeled)

        def add(session: Session, now: float) -> RunView:
            state = lock_run(session, run_id, now)
            if run_kind(session, run_id) is not RunKind.RUN:
                raise Conflict(f"{run_id} is a {run_kind(session, run_id)}: it has no generations")
            if state is not RunState.SUCCEEDED:
                raise Conflict(f"{run_id} is {state}: a generation can be added to a run that has succeeded")
            number, plan = self._next_plan(session, run_id, overrides)
            insert_generation(session, run_id, number, plan, ready_at=now)
            _set_running(session, run_id)
            add_event(session, run_id, now, EventKind.GENERATION_ADDED, plan.model, number)
            return self._run_view(session, run_id)

        return self._filled(self._answers.once(idempotency_key, asked, RunView, add))

    def cancel_run(self, run_id: str, idempotency_key: str | None = None) -> RunView:
        """Requests a cancel. The run becomes CANCELLED once its Ray job has ended. Repeating this is no error."""

        def cancel(session: Session, now: float) -> RunView:
            state = lock_run(session, run_id, now)
            if state in (RunState.SUCCEEDED, RunState.FAILED):
                raise Conflict(f"{run_id} has {state} already")
            if state in (RunState.RUNNING, RunState.PAUSING, RunState.PAUSED):
                set_run_state(session, run_id, RunState.CANCELLING)
                add_event(session, run_id, now, EventKind.RUN_CANCELLING, "cancelled by the user")
            return self._run_view(session, run_id)

        asked = request_hash(f"cancel_run {run_id}")
        return self._filled(self._answers.once(idempotency_key, asked, RunView, cancel))

    def pause_run(self, run_id: str, idempotency_key: str | None = None) -> RunView:
        """Requests a pause. The run becomes PAUSED once its stage in flight has stopped at the end of a unit.

        Repeating this is no error.
        """

        def pause(session: Session, now: float) -> RunView:
            state = lock_run(session, run_id, now)
            if state not in (RunState.RUNNING, RunState.PAUSING, RunState.PAUSED):
                raise Conflict(f"{run_id} is {state}: only a run that is under way can be paused")
            if state is RunState.RUNNING:
                set_run_state(session, run_id, RunState.PAUSING)
                add_event(session, run_id, now, EventKind.RUN_PAUSING, "paused by the user")
            return self._run_view(session, run_id)

        asked = request_hash(f"pause_run {run_id}")
        return self._filled(self._answers.once(idempotency_key, asked, RunView, pause))

    def resume_run(self, run_id: str, idempotency_key: str | None = None) -> RunView:
        """Resumes a paused run from what its stage has kept. The stage goes to the end of the queue.

        Repeating this is no error.
        """

        def resume(session: Session, now: float) -> RunView:
            state = lock_run(session, run_id, now)
            if state not in (RunState.RUNNING, RunState.PAUSING, RunState.PAUSED):
                raise Conflict(f"{run_id} is {state}: only a paused run can be resumed")
            if state is not RunState.RUNNING:
                stage = load_snapshot(session, run_id).current_stage
                if state is RunState.PAUSED and stage is not None:
                    set_ready(session, StageKey(run_id, stage.generation, stage.name), now)
                set_run_state(session, run_id, RunState.RUNNING)
                add_event(session, run_id, now, EventKind.RUN_RESUMED, "resumed by the user")
            return self._run_view(session, run_id)

        asked = request_hash(f"resume_run {run_id}")
        return self._filled(self._answers.once(idempotency_key, asked, RunView, resume))

    def change_run(self, run_id: str, changes: RunChanges) -> RunView:
        """Changes the run's priority, and with it its place in the queue."""
        with self._database.write() as session:
            now = self._clock()
            state = lock_run(session, run_id, now)
            if state not in UNFINISHED_RUNS:
                raise Conflict(f"{run_id} has {state} already: its priority has no meaning any more")
            set_priority(session, run_id, changes.priority)
            add_event(session, run_id, now, EventKind.PRIORITY_CHANGED, str(changes.priority))
            view = self._run_view(session, run_id)
        return self._filled(view)

    def retry_run(self, run_id: str, idempotency_key: str | None = None) -> RunView:
        """Continues a failed or cancelled run where it stopped. Stages that have succeeded are kept."""

        def retry(session: Session, now: float) -> RunView:
            state = lock_run(session, run_id, now)
            if state not in (RunState.FAILED, RunState.CANCELLED):
                raise Conflict(f"{run_id} is {state}: only a run that failed or was cancelled can be retried")
            _reopen_current_stage(session, run_id, now)
            _set_running(session, run_id)
            add_event(session, run_id, now, EventKind.RUN_RETRIED, "retried by the user")
            return self._run_view(session, run_id)

        asked = request_hash(f"retry_run {run_id}")
        return self._filled(self._answers.once(idempotency_key, asked, RunView, retry))

    def _next_plan(self, session: Session, run_id: str, overrides: GenerationOverrides) -> tuple[int, GenerationPlan]:
        config = load_config(session, run_id)
        plans = load_plans(session, run_id)
        number = len(plans)
        if config.datasets.unlabeled is None:
            raise Conflict(f"{run_id} has no unlabeled dataset: no student can be trained")
        if number > MAX_GENERATIONS:
            raise Conflict(f"{run_id} already has {number} generations, the maximum")
        plan = student_plan(config, number, plans[number - 1].model, overrides)
        check_source(session, self._roots.of(config.project), "recipe", plan.recipe, plan.model)
        if overrides.teacher is not None and overrides.teacher not in plans:
            raise InvalidRequest("teacher", f"there is no generation {overrides.teacher}: the last is {number - 1}")
        before = plans[number - 1 if overrides.teacher is None else overrides.teacher]
        if before.given is not None:
            taught = teacher_facts(session, "teacher.model", before.given)
            before = before.model_copy(update={"recipe": taught.recipe})
        self._check_plan(plan, before, config, len(load_classes(session, config.datasets.labeled)))
        return number, plan

    def _check_plan(self, plan: GenerationPlan, before: GenerationPlan, config: RunConfig, num_classes: int) -> None:
        check_model("student_model", plan.model, self._models())
        if not config.allow_smaller_student:
            check_not_smaller("student_model", plan.model, before.model, self._models(), num_classes)
        check_noise("recipe", plan.recipe, plan.model, self._models())
        check_batches("recipe", plan.recipe, config.resources.train.max_workers, pseudo_labeled=True)
        check_training("recipe", plan.recipe, config.resources.train)
        check_init("recipe", plan.recipe, plan.model, before.model, self._models())
        check_views(config.labeling.views, "the recipe of the generation before", before.recipe)
        if plan.search is not None:
            teacher = None if config.allow_smaller_student else before.model
            check_trials("search", plan.search, config.resources.train)
            check_search("search", plan.search, plan.recipe, teacher, self._models(), num_classes)

    def _models(self) -> Mapping[str, CatalogModel]:
        return load_catalog() if self._catalog is None else self._catalog

    def _run_view(self, session: Session, run_id: str) -> RunView:
        session.flush()
        session.expire_all()  # states change by UPDATE statements that the session does not see
        return self._views.run(load_run_rows(session, run_id))

    def _filled(self, view: RunView) -> RunView:
        """Adds the queue place and the progress, after the command's transaction, which blocks all other writers."""
        if view.state == RunState.RUNNING:
            with self._database.read() as session:
                view = self._places.fill_run(session, view)
        return self._progress.fill_run(view)


def _not_compared(checked: CheckedRun) -> Iterator[str]:
    """Yields what to say about each dataset that is too large to be compared with others before the run starts."""
    for dataset in checked.datasets.values():
        if not dataset.hashed:
            yield _NOT_COMPARED.format(dataset.name)
    for teacher in checked.teachers:
        for learned in teacher.learned_from:
            if not learned.hashed and learned.id not in checked.datasets:
                yield _TEACHER_NOT_COMPARED.format(teacher.id, learned.name)


def _set_running(session: Session, run_id: str) -> None:
    set_run_state(session, run_id, RunState.RUNNING, state_reason=None, finished_at=None)


def _reopen_current_stage(session: Session, run_id: str, now: float) -> None:
    stage = load_snapshot(session, run_id).current_stage
    if stage is None:
        return  # someone cancelled the run just after its last stage had succeeded
    set_stage_state(
        session,
        StageKey(run_id, stage.generation, stage.name),
        StageState.PENDING,
        attempts_before_retry=len(stage.attempts),
        ready_at=now,
    )
    set_generation_state(session, run_id, stage.generation, GenerationState.PENDING)
