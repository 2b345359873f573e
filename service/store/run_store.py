"""Reads and writes runs, generations, stages, attempts, models and events."""

import logging
import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import TypeVar

import sqlalchemy.event
from sqlalchemy import insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from service.config.events import EventKind
from service.config.run import GenerationPlan, RunConfig
from service.config.stage_key import StageKey
from service.errors import NotFound
from service.lifecycle.states import GenerationState, RunKind, RunState, StageState
from service.stages.generation_plans import generation_plans, initial_models, predicting_models
from service.stages.order import stages_of
from service.stages.spec_inputs import SpecInputs, TrainedModel
from service.store.dataset_store import load_dataset_heads, load_projects
from service.store.event_store import keep_event_order
from service.store.run_rows import GenerationRows, RunRows, load_given_teacher
from service.store.schema.caller_tables import ProjectRow
from service.store.schema.tables import EventRow, GenerationRow, ModelRow, RunRow, StageRow
from service.store.stored_values import read, written
from workers.specs.labeling import LabelingModel
from workers.specs.model_card import place_of_model
from workers.specs.results import SearchResult, StageResult
from workers.specs.stages import StageName
from workers.telemetry.logs import current_request_id, log_context
from workers.telemetry.traces import current_traceparent

logger = logging.getLogger(__name__)

Result = TypeVar("Result", bound=StageResult)


def insert_run(
    session: Session, run_id: str, config: RunConfig, plans: Sequence[GenerationPlan], now: float
) -> RunRows:
    """Adds a running run whose first stage is ready at `now`, in Unix seconds. Returns the rows that it added."""
    run = _insert_run_row(session, run_id, config, now)
    stages = [stages_of(number, plan) for number, plan in enumerate(plans)]
    return RunRows(run, _insert_generations(session, run_id, dict(enumerate(plans)), stages, ready_at=now))


def insert_run_of_one_stage(
    session: Session,
    run_id: str,
    kind: RunKind,
    source_run_id: str | None,
    config: RunConfig,
    generation: int,
    plan: GenerationPlan,
    now: float,
) -> None:
    """Adds a run with a single stage, of any kind but `run`.

    A search or an ablation uses the labels of a generation of the source run; the others use datasets alone.
    """
    _insert_run_row(session, run_id, config, now, kind, source_run_id)
    _insert_generations(session, run_id, {generation: plan}, [[_ONLY_STAGE[kind]]], ready_at=now)


_ONLY_STAGE: dict[RunKind, StageName] = {
    RunKind.SEARCH: "search",
    RunKind.ABLATION: "ablate",
    RunKind.PLAN: "measure",
    RunKind.PREDICTION: "predict",
    RunKind.REGISTRATION: "verify",
}


def _insert_run_row(
    session: Session,
    run_id: str,
    config: RunConfig,
    now: float,
    kind: RunKind = RunKind.RUN,
    source_run_id: str | None = None,
) -> RunRow:
    ensure_project(session, config.project)
    row = RunRow(
        id=run_id,
        name=config.name,
        config=written(config),
        state=RunState.RUNNING,
        created_at=now,
        updated_at=now,
        project=config.project,
        kind=kind,
        source_run_id=source_run_id,
        priority=config.priority,
        request_id=current_request_id(),
        traceparent=current_traceparent(),
    )
    session.add(row)
    session.flush()
    sqlalchemy.event.listen(session, "after_commit", lambda _: _log_created(run_id), once=True)
    return row


def _log_created(run_id: str) -> None:
    with log_context(run=run_id):
        logger.info("%s created", run_id)


def insert_generation(session: Session, run_id: str, number: int, plan: GenerationPlan, ready_at: float | None) -> None:
    """Adds a pending generation and its stages. The first stage is ready at `ready_at`, in Unix seconds."""
    stages = stages_of(number, plan)
    _insert_generations(session, run_id, {number: plan}, [stages], ready_at)


def _insert_generations(
    session: Session,
    run_id: str,
    plans: Mapping[int, GenerationPlan],
    stages: Sequence[Sequence[StageName]],
    ready_at: float | None,
) -> GenerationRows:
    """Adds generations by number, each with its stages. Only the very first stage is ready.

    It executes two statements and bypasses the session's bookkeeping, which takes longer than both, because every
    statement blocks other writers. The returned rows belong to no session.
    """
    generations = [
        {"run_id": run_id, "number": number, "state": GenerationState.PENDING, "plan": written(plan)}
        for number, plan in plans.items()
    ]
    added = [
        {
            "run_id": run_id,
            "generation": number,
            "name": name,
            "position": position,
            "state": StageState.PENDING,
            "attempts_before_retry": 0,
            "ready_at": ready_at if position == 0 and number == min(plans) else None,
        }
        for number, names in zip(plans, stages, strict=True)
        for position, name in enumerate(names)
    ]
    connection = session.connection()
    connection.execute(insert(GenerationRow), generations)
    connection.execute(insert(StageRow), added)
    return GenerationRows([GenerationRow(**values) for values in generations], [StageRow(**values) for values in added])


def add_event(
    session: Session,
    run_id: str | None,
    now: float,
    kind: EventKind,
    message: str,
    generation: int | None = None,
    stage: StageName | None = None,
    attempt: int | None = None,
) -> None:
    """Adds an event to the run's history, or to the service's if `run_id` is None. Ids grow in the order of commits."""
    keep_event_order(session)
    session.add(
        EventRow(run_id=run_id, at=now, kind=kind, message=message, generation=generation, stage=stage, attempt=attempt)
    )


def load_spec_inputs(session: Session, run_id: str) -> SpecInputs:
    """Returns the inputs of the run's stage specs. A search or an ablation uses the models and labels of its source.

    Raises Conflict if another version wrote the run's configuration or plans, and NotFound for a caller who may not see
    the labeled dataset.
    """
    run = session.execute(select(RunRow.config, RunRow.source_run_id).where(RunRow.id == run_id)).one()
    config, source = read(RunConfig, run.config, run_id), run.source_run_id or run_id
    generations = session.execute(
        select(GenerationRow.run_id, GenerationRow.number, GenerationRow.plan, GenerationRow.promoted).where(
            GenerationRow.run_id.in_((run_id, source))
        )
    ).all()
    plans = {row.number: read(GenerationPlan, row.plan, run_id) for row in generations if row.run_id == run_id}
    models = session.scalars(select(ModelRow).where(ModelRow.run_id == source)).all()
    parts = config.datasets
    datasets = load_dataset_heads(session, {parts.labeled, parts.validation, parts.test})
    if parts.labeled not in datasets:
        raise NotFound("dataset", parts.labeled)
    dataset_ids = {*datasets, *(each.dataset for each in config.evaluation.external)}
    dataset_ids |= {
        each for each in (parts.unlabeled, *(plan.unlabeled for plan in plans.values())) if each is not None
    }
    reference = config.evaluation.reference
    return SpecInputs(
        run_id=run_id,
        source_run_id=source,
        config=config,
        classes=datasets[parts.labeled].classes,
        plans=plans,
        models=load_given_teacher(session, config, source)
        | {
            row.generation: TrainedModel(row.id, row.model, row.uri, row.validation_top1, row.test_top1)
            for row in models
        },
        not_promoted=frozenset(row.number for row in generations if row.run_id == source and row.promoted is False),
        searches=load_results(session, run_id, SearchResult) if any(plan.search for plan in plans.values()) else {},
        reference=None if reference is None else place_of_model(reference),
        further_teachers=_labeling_models(session, config.labeling.further_teachers),
        projects=load_projects(session, dataset_ids),
        initial_models=_folders_of_models(session, initial_models([*plans.values(), *generation_plans(config)])),
        predicting_models=_folders_of_models(session, predicting_models(plans.values())),
    )


def load_results(session: Session, run_id: str, kind: type[Result]) -> dict[int, Result]:
    """Returns the run's stage results of this kind, by generation."""
    rows = session.execute(
        select(StageRow.generation, StageRow.result).where(
            StageRow.run_id == run_id,
            StageRow.name == kind.model_fields["stage"].default,
            StageRow.result.is_not(None),
        )
    )
    return {row.generation: kind.model_validate_json(row.result) for row in rows}


def _labeling_models(session: Session, model_ids: Sequence[str]) -> tuple[LabelingModel, ...]:
    if not model_ids:
        return ()
    rows = session.execute(select(ModelRow.id, ModelRow.uri).where(ModelRow.id.in_(model_ids)))
    uris = {row.id: row.uri for row in rows}
    # The reconciler, which submits label stages, sees all models; a caller only those of its projects.
    return tuple(LabelingModel(model_id=each, uri=uris[each]) for each in model_ids if each in uris)


def _folders_of_models(session: Session, ids: Collection[str]) -> dict[str, str]:
    if not ids:
        return {}
    rows = session.execute(select(ModelRow.id, ModelRow.uri).where(ModelRow.id.in_(ids)))
    return {row.id: row.uri for row in rows}


def load_config(session: Session, run_id: str) -> RunConfig:
    """Returns the run's configuration. Raises NoResultFound for an unknown run, Conflict if it cannot be read."""
    return read(RunConfig, session.execute(select(RunRow.config).where(RunRow.id == run_id)).scalar_one(), run_id)


def load_plans(session: Session, run_id: str) -> dict[int, GenerationPlan]:
    """Returns the plans of the run's generations, by number. Raises Conflict if one cannot be read."""
    rows = session.execute(select(GenerationRow.number, GenerationRow.plan).where(GenerationRow.run_id == run_id))
    return {row.number: read(GenerationPlan, row.plan, run_id) for row in rows}


def new_id(prefix: str) -> str:
    """Returns a new random id, such as run-3f9c2a71d0."""
    return f"{prefix}-{uuid.uuid4().hex[:10]}"


def lock_run(session: Session, run_id: str, now: float) -> RunState:
    """Locks the run until the transaction ends and returns its state. Raises NotFound."""
    statement = update(RunRow).where(RunRow.id == run_id).values(updated_at=now).returning(RunRow.state)
    state = session.execute(statement).scalar_one_or_none()
    if state is None:
        raise NotFound("run", run_id)
    return RunState(state)


def run_kind(session: Session, run_id: str) -> RunKind:
    """Returns the run's kind. Raises NoResultFound for an unknown run."""
    return RunKind(session.execute(select(RunRow.kind).where(RunRow.id == run_id)).scalar_one())


def get_run_of_kind(session: Session, run_id: str, kind: RunKind) -> RunRow:
    """Returns the row of a run of this kind, such as a search. Raises NotFound, also if the run is of another kind."""
    row = session.get(RunRow, run_id)
    if row is None or row.kind != kind:
        raise NotFound(kind.value, run_id)
    return row


def set_priority(session: Session, run_id: str, priority: int) -> None:
    """Changes the run's priority. Lock the run first."""
    session.execute(update(RunRow).where(RunRow.id == run_id).values(priority=priority))


def set_ready(session: Session, key: StageKey, now: float) -> None:
    """Moves the stage to the end of the queue, among stages of its priority. `now` is in Unix seconds."""
    statement = update(StageRow).where(
        StageRow.run_id == key.run_id, StageRow.generation == key.generation, StageRow.name == key.stage
    )
    session.execute(statement.values(ready_at=now))


def ensure_project(session: Session, name: str) -> None:
    """Adds the project without a quota unless it exists. Two transactions may do so at the same time."""
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    statement = dialect.insert(ProjectRow).values(name=name, quota_device_hours=None, spent_device_seconds=0.0)
    session.execute(statement.on_conflict_do_nothing())
