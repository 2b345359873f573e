"""What users may do: register a dataset; create, extend, cancel and retry a run."""

import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service.artifact_layout import ArtifactLayout
from service.dataset_inspection import DatasetRequest, inspect_dataset
from service.errors import Conflict, NotFound
from service.model_catalog import CatalogModel, load_catalog
from service.progress_reader import ProgressReader
from service.run_checks import (
    DatasetFacts,
    check_datasets,
    check_images_kept_apart,
    check_model,
    check_models,
    check_noise,
    check_not_smaller,
    dataset_ids,
)
from service.run_config import MAX_GENERATIONS, GenerationOverrides, GenerationPlan, RunConfig
from service.settings import Settings
from service.stage_spec_builder import generation_seed
from service.states import GenerationState, RunState, StageState
from service.store.database import Database
from service.store.dataset_store import CLASSES, insert_dataset, load_classes
from service.store.idempotency import check_key, first_answer, remember_answer, request_hash
from service.store.run_store import (
    add_event,
    insert_generation,
    insert_run,
    load_config,
    load_plans,
    load_snapshot,
)
from service.store.tables import DatasetRow, RunRow
from service.store.transitions import set_generation_state, set_run_state, set_stage_state
from service.view_builders import ViewBuilder, dataset_view
from service.views import DatasetView, RunView, View
from workers.artifact_io import write_bytes
from workers.data.hashes import write_hashes

Answer = TypeVar("Answer", bound=View)

_NOT_COMPARED = (
    "{} is too large to be hashed at registration: it was not looked through for evaluation images. "
    "The select stage drops those from the pseudo-labeled images."
)


class RunCommands:
    """Thread-safe. Every command raises InvalidRequest, NotFound or Conflict before it has changed anything.

    `clock` gives Unix seconds; `catalog` is timm's models by name, the shipped catalogue by default.
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
        self._views = ViewBuilder(self._layout, settings.dashboard_url)
        self._progress = ProgressReader(self._layout)
        self._clock = clock
        self._catalog = catalog

    def register_dataset(self, request: DatasetRequest, idempotency_key: str | None = None) -> DatasetView:
        """Inspects the images, writes manifest and hashes, then puts the dataset on record."""
        asked = request_hash("register_dataset", request)
        if (answer := self._first_answer(idempotency_key, asked, DatasetView)) is not None:
            return answer
        dataset_id = _new_id("ds")
        inspected = inspect_dataset(request, dataset_id)
        if inspected.content_hashes is not None:
            write_hashes(self._layout.hashes(dataset_id), inspected.content_hashes)
        write_bytes(self._layout.manifest(dataset_id), inspected.manifest.model_dump_json().encode())

        def register(session: Session, now: float) -> DatasetView:
            return dataset_view(insert_dataset(session, request, inspected, now))

        return self._once(idempotency_key, asked, DatasetView, register)

    def create_run(self, config: RunConfig, idempotency_key: str | None = None) -> RunView:
        """Checks that the run can work, and starts it."""
        asked = request_hash("create_run", config)
        if (answer := self._first_answer(idempotency_key, asked, RunView)) is not None:
            return answer
        with self._database.read() as session:
            found = _dataset_facts(session, dataset_ids(config.datasets).values())
        check_datasets(config.datasets, found)
        check_models(config, self._models(), len(found[config.datasets.labeled].classes))
        check_images_kept_apart(config.datasets, found, self._layout)
        run_id = _new_id("run")

        def create(session: Session, now: float) -> RunView:
            insert_run(session, run_id, config, _plans(config), now)
            add_event(session, run_id, now, "run_created", config.name)
            for dataset in found.values():
                if not dataset.hashed:
                    add_event(session, run_id, now, "images_not_compared", _NOT_COMPARED.format(dataset.name))
            return self._run_view(session, run_id)

        return self._once(idempotency_key, asked, RunView, create)

    def add_generation(
        self, run_id: str, overrides: GenerationOverrides, idempotency_key: str | None = None
    ) -> RunView:
        """Starts one more generation on a run that has succeeded."""
        asked = request_hash(f"add_generation {run_id}", overrides)

        def add(session: Session, now: float) -> RunView:
            state = _lock_run(session, run_id, now)
            if state is not RunState.SUCCEEDED:
                raise Conflict(f"{run_id} is {state}: a generation can be added to a run that has succeeded")
            number, plan = self._next_plan(session, run_id, overrides)
            insert_generation(session, run_id, number, plan, ready_at=now)
            _set_running(session, run_id)
            add_event(session, run_id, now, "generation_added", plan.model, number)
            return self._run_view(session, run_id)

        return self._progress.fill_run(self._once(idempotency_key, asked, RunView, add))

    def cancel_run(self, run_id: str, idempotency_key: str | None = None) -> RunView:
        """Asks for the run to be stopped; it is CANCELLED once its Ray job has ended. Asking again is no error."""

        def cancel(session: Session, now: float) -> RunView:
            state = _lock_run(session, run_id, now)
            if state in (RunState.SUCCEEDED, RunState.FAILED):
                raise Conflict(f"{run_id} has {state} already")
            if state is RunState.RUNNING:
                set_run_state(session, run_id, RunState.CANCELLING)
                add_event(session, run_id, now, "run_cancelling", "cancelled by the user")
            return self._run_view(session, run_id)

        asked = request_hash(f"cancel_run {run_id}")
        return self._progress.fill_run(self._once(idempotency_key, asked, RunView, cancel))

    def retry_run(self, run_id: str, idempotency_key: str | None = None) -> RunView:
        """Goes on with a run that failed or was cancelled, where it stopped: stages that succeeded are kept."""

        def retry(session: Session, now: float) -> RunView:
            state = _lock_run(session, run_id, now)
            if state not in (RunState.FAILED, RunState.CANCELLED):
                raise Conflict(f"{run_id} is {state}: only a run that failed or was cancelled can be retried")
            _reopen_current_stage(session, run_id, now)
            _set_running(session, run_id)
            add_event(session, run_id, now, "run_retried", "retried by the user")
            return self._run_view(session, run_id)

        asked = request_hash(f"retry_run {run_id}")
        return self._progress.fill_run(self._once(idempotency_key, asked, RunView, retry))

    def _next_plan(self, session: Session, run_id: str, overrides: GenerationOverrides) -> tuple[int, GenerationPlan]:
        config = load_config(session, run_id)
        plans = load_plans(session, run_id)
        number = len(plans)
        if config.datasets.unlabeled is None:
            raise Conflict(f"{run_id} has no unlabeled dataset: no student can be trained")
        if number > MAX_GENERATIONS:
            raise Conflict(f"{run_id} has {number} generations, and may not have more")
        plan = GenerationPlan(
            model=overrides.student_model or plans[number - 1].model,
            recipe=overrides.recipe or config.student_recipe,
            selection=overrides.selection or config.selection,
            seed=generation_seed(config.seed, number) if overrides.seed is None else overrides.seed,
        )
        self._check_plan(plan, plans[number - 1], config, len(load_classes(session, config.datasets.labeled)))
        return number, plan

    def _check_plan(self, plan: GenerationPlan, before: GenerationPlan, config: RunConfig, num_classes: int) -> None:
        check_model("student_model", plan.model, self._models())
        if not config.allow_smaller_student:
            check_not_smaller("student_model", plan.model, before.model, self._models(), num_classes)
        check_noise("recipe", plan.recipe, plan.model, self._models())

    def _models(self) -> Mapping[str, CatalogModel]:
        return load_catalog() if self._catalog is None else self._catalog

    def _run_view(self, session: Session, run_id: str) -> RunView:
        session.flush()
        session.expire_all()  # states are changed by statements of their own
        return self._views.run(session, run_id)

    def _first_answer(self, key: str | None, asked: str, kind: type[Answer]) -> Answer | None:
        if key is None:
            return None
        check_key(key)
        with self._database.read() as session:
            answer = first_answer(session, key, asked)
        return None if answer is None else kind.model_validate_json(answer)

    def _once(
        self, key: str | None, asked: str, kind: type[Answer], carry_out: Callable[[Session, float], Answer]
    ) -> Answer:
        """Carries the request out and keeps its answer under the key, in one transaction; or gives the first answer."""
        if (answer := self._first_answer(key, asked, kind)) is not None:
            return answer
        try:
            with self._database.write() as session:
                now = self._clock()
                view = carry_out(session, now)
                if key is not None:
                    remember_answer(session, key, asked, view.model_dump_json(), now)
            return view
        except (IntegrityError, Conflict):
            # The same request may have come twice at once, and the other one was first.
            if (answer := self._first_answer(key, asked, kind)) is not None:
                return answer
            raise


def _new_id(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:10]}"


def _plans(config: RunConfig) -> list[GenerationPlan]:
    """The teacher's plan, then the students'."""
    models = config.student_models if len(config.student_models) > 1 else config.student_models * config.generations
    return [
        GenerationPlan(
            model=model,
            recipe=config.teacher_recipe if number == 0 else config.student_recipe,
            selection=config.selection,
            seed=generation_seed(config.seed, number),
        )
        for number, model in enumerate([config.teacher_model, *models[: config.generations]])
    ]


def _dataset_facts(session: Session, ids: Iterable[str]) -> dict[str, DatasetFacts]:
    rows = session.scalars(select(DatasetRow).where(DatasetRow.id.in_(list(ids))))
    return {
        row.id: DatasetFacts(
            id=row.id,
            name=row.name,
            role=row.role,
            classes=CLASSES.validate_json(row.classes),
            rows=row.rows,
            hashed=row.hashed,
        )
        for row in rows
    }


def _lock_run(session: Session, run_id: str, now: float) -> RunState:
    """The run's state, which nobody else can change before this transaction ends."""
    session.execute(update(RunRow).where(RunRow.id == run_id).values(updated_at=now))
    state = session.execute(select(RunRow.state).where(RunRow.id == run_id)).scalar_one_or_none()
    if state is None:
        raise NotFound("run", run_id)
    return RunState(state)


def _set_running(session: Session, run_id: str) -> None:
    set_run_state(session, run_id, RunState.RUNNING, state_reason=None, finished_at=None)


def _reopen_current_stage(session: Session, run_id: str, now: float) -> None:
    stage = load_snapshot(session, run_id).current_stage
    if stage is None:
        return  # cancelled when the last stage had just succeeded
    set_stage_state(
        session,
        run_id,
        stage.generation,
        stage.name,
        StageState.PENDING,
        attempts_before_retry=len(stage.attempts),
        ready_at=now,
    )
    set_generation_state(session, run_id, stage.generation, GenerationState.PENDING)
