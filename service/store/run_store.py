"""Reads and writes runs, generations, stages, attempts, models and events."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.run_config import GenerationPlan, RunConfig
from service.snapshots import AttemptSnapshot, GenerationSnapshot, RunSnapshot, StageSnapshot
from service.stage_order import stages_of
from service.stage_spec_builder import SpecInputs
from service.states import ACTIVE_RUNS, AttemptState, GenerationState, RunState, StageState
from service.store.dataset_store import hashed_among, load_classes
from service.store.stage_names import stage_name
from service.store.tables import AttemptRow, EventRow, GenerationRow, ModelRow, RunRow, StageRow
from workers.specs.stages import FailureReason, StageName


def submission_id(run_id: str, generation: int, stage: StageName, attempt: int) -> str:
    """The Ray job's id: known before the job is, so that a second submit of the same attempt is refused by Ray."""
    return f"{run_id}-g{generation}-{stage}-a{attempt}"


def insert_run(session: Session, run_id: str, config: RunConfig, plans: Sequence[GenerationPlan], now: float) -> None:
    """Adds a running run; its first stage is ready now."""
    session.add(
        RunRow(
            id=run_id,
            name=config.name,
            config=config.model_dump_json(),
            state=RunState.RUNNING,
            created_at=now,
            updated_at=now,
        )
    )
    session.flush()
    for number, plan in enumerate(plans):
        insert_generation(session, run_id, number, plan, ready_at=now if number == 0 else None)


def insert_generation(session: Session, run_id: str, number: int, plan: GenerationPlan, ready_at: float | None) -> None:
    """Adds a pending generation and its stages; the first of them is ready at `ready_at`."""
    session.add(GenerationRow(run_id=run_id, number=number, state=GenerationState.PENDING, plan=plan.model_dump_json()))
    session.flush()
    for position, name in enumerate(stages_of(number)):
        session.add(
            StageRow(
                run_id=run_id,
                generation=number,
                name=name,
                position=position,
                state=StageState.PENDING,
                attempts_before_retry=0,
                ready_at=ready_at if position == 0 else None,
            )
        )
    session.flush()


def add_event(
    session: Session,
    run_id: str,
    now: float,
    kind: str,
    message: str,
    generation: int | None = None,
    stage: StageName | None = None,
    attempt: int | None = None,
) -> None:
    """Adds a line to the run's history."""
    session.add(
        EventRow(run_id=run_id, at=now, kind=kind, message=message, generation=generation, stage=stage, attempt=attempt)
    )


def active_run_ids(session: Session) -> list[str]:
    """The runs that the reconciler looks after, oldest first."""
    states = [state.value for state in ACTIVE_RUNS]
    statement = select(RunRow.id).where(RunRow.state.in_(states)).order_by(RunRow.created_at, RunRow.id)
    return list(session.scalars(statement))


def load_snapshot(session: Session, run_id: str) -> RunSnapshot:
    """The run with all its generations, stages and attempts, in order. Raises NoResultFound for an unknown run."""
    state = session.execute(select(RunRow.state).where(RunRow.id == run_id)).scalar_one()
    generations = session.execute(
        select(GenerationRow.number, GenerationRow.state)
        .where(GenerationRow.run_id == run_id)
        .order_by(GenerationRow.number)
    ).all()
    stages = _stages_by_generation(session, run_id)
    return RunSnapshot(
        run_id=run_id,
        state=RunState(state),
        generations=tuple(
            GenerationSnapshot(number, GenerationState(state), tuple(stages.get(number, ())))
            for number, state in generations
        ),
    )


def _stages_by_generation(session: Session, run_id: str) -> dict[int, list[StageSnapshot]]:
    attempts = _attempts_by_stage(session, run_id)
    rows = session.execute(
        select(StageRow.generation, StageRow.name, StageRow.state, StageRow.attempts_before_retry)
        .where(StageRow.run_id == run_id)
        .order_by(StageRow.generation, StageRow.position)
    )
    stages: dict[int, list[StageSnapshot]] = {}
    for row in rows:
        snapshot = StageSnapshot(
            generation=row.generation,
            name=stage_name(row.name),
            state=StageState(row.state),
            attempts=tuple(attempts.get((row.generation, row.name), ())),
            attempts_before_retry=row.attempts_before_retry,
        )
        stages.setdefault(row.generation, []).append(snapshot)
    return stages


def _attempts_by_stage(session: Session, run_id: str) -> dict[tuple[int, str], list[AttemptSnapshot]]:
    rows = session.scalars(select(AttemptRow).where(AttemptRow.run_id == run_id).order_by(AttemptRow.number))
    attempts: dict[tuple[int, str], list[AttemptSnapshot]] = {}
    for row in rows:
        snapshot = AttemptSnapshot(
            number=row.number,
            state=AttemptState(row.state),
            created_at=row.created_at,
            failure_reason=FailureReason(row.failure_reason) if row.failure_reason else None,
            failure_message=row.failure_message,
            stop_requested_at=row.stop_requested_at,
            finished_at=row.finished_at,
        )
        attempts.setdefault((row.generation, row.stage), []).append(snapshot)
    return attempts


def load_spec_inputs(session: Session, run_id: str) -> SpecInputs:
    """What the run's stage specs are made of."""
    config = load_config(session, run_id)
    models = session.execute(select(ModelRow.generation, ModelRow.uri).where(ModelRow.run_id == run_id))
    return SpecInputs(
        run_id=run_id,
        config=config,
        classes=load_classes(session, config.datasets.labeled),
        plans=load_plans(session, run_id),
        model_uris={row.generation: row.uri for row in models},
        hashed_datasets=hashed_among(session, [config.datasets.validation, config.datasets.test]),
    )


def load_config(session: Session, run_id: str) -> RunConfig:
    """The run as it was asked for. Raises NoResultFound for an unknown run."""
    return RunConfig.model_validate_json(session.execute(select(RunRow.config).where(RunRow.id == run_id)).scalar_one())


def load_plans(session: Session, run_id: str) -> dict[int, GenerationPlan]:
    """The plans of a run's generations, by number."""
    rows = session.execute(select(GenerationRow.number, GenerationRow.plan).where(GenerationRow.run_id == run_id))
    return {row.number: GenerationPlan.model_validate_json(row.plan) for row in rows}
