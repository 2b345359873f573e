"""What goes on record of a stage beside its own state, within the transaction that changes it."""

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from service.config.stage_key import StageKey
from service.lifecycle.actions import FinishStage
from service.lifecycle.states import GenerationState, StageState
from service.store.run_store import load_spec_inputs
from service.store.schema.tables import GenerationRow, ModelRow, StageRow
from service.store.transitions import set_generation_state, set_stage_state
from workers.specs.results import EvaluateResult, TrainResult
from workers.specs.stages import model_id


def set_running(session: Session, key: StageKey) -> None:
    """Sets generation and stage running, if they are not."""
    run_id, generation, stage = key
    stage_state = session.execute(
        select(StageRow.state).where(
            StageRow.run_id == run_id, StageRow.generation == generation, StageRow.name == stage
        )
    ).scalar_one()
    generation_state = session.execute(
        select(GenerationRow.state).where(GenerationRow.run_id == run_id, GenerationRow.number == generation)
    ).scalar_one()
    if generation_state != GenerationState.RUNNING:
        set_generation_state(session, run_id, generation, GenerationState.RUNNING)
    if stage_state != StageState.RUNNING:
        set_stage_state(session, key, StageState.RUNNING)


def record_model(session: Session, run_id: str, action: FinishStage, now: float) -> None:
    """The model that a train stage gave, or how good an evaluate stage found it; nothing of other stages."""
    identity = model_id(run_id, action.generation)
    match action.result:
        case TrainResult() as trained:
            inputs = load_spec_inputs(session, run_id)
            model, _ = inputs.student_of(action.generation)
            session.add(
                ModelRow(
                    id=identity,
                    run_id=run_id,
                    generation=action.generation,
                    model=model,
                    parameters=trained.parameters,
                    uri=trained.model_uri,
                    validation_top1=trained.validation_top1,
                    created_at=now,
                    project=inputs.config.project,
                )
            )
        case EvaluateResult() as evaluated:
            session.execute(update(ModelRow).where(ModelRow.id == identity).values(test_top1=evaluated.metrics.top1))


def make_next_stage_ready(session: Session, run_id: str, now: float) -> None:
    """The run's first stage that is pending lines up from now on."""
    following = session.execute(
        select(StageRow)
        .where(StageRow.run_id == run_id, StageRow.state == StageState.PENDING)
        .order_by(StageRow.generation, StageRow.position)
        .limit(1)
    ).scalar_one_or_none()
    if following is not None:
        following.ready_at = now
