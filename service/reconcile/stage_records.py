"""Records what else changes with a stage's state, in the same transaction."""

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from service.config.stage_key import StageKey
from service.lifecycle.actions import FinishStage
from service.lifecycle.states import GenerationState, StageState
from service.stages.findings import findings
from service.store.dataset_store import record_labeling
from service.store.run_store import add_event, load_config, load_spec_inputs
from service.store.schema.tables import GenerationRow, ModelRow, StageRow
from service.store.transitions import set_generation_state, set_stage_state
from workers.specs.model_card import model_id
from workers.specs.results import EvaluateResult, LabelResult, TrainResult, VerifyResult


def set_running(session: Session, key: StageKey) -> None:
    """Sets the generation and the stage to RUNNING unless they are."""
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


def record_result(session: Session, run_id: str, action: FinishStage, now: float) -> None:
    """Records a result's model, its test accuracy from an evaluate stage, what a label stage has labeled, and what the
    result warns of."""
    for kind, message in findings(action.result):
        add_event(session, run_id, now, kind, message, action.generation, action.stage, action.attempt)
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
        case VerifyResult() as registered:
            weights = registered.initial_weights.weights
            session.add(
                ModelRow(
                    id=identity,
                    run_id=run_id,
                    generation=action.generation,
                    model=registered.model,
                    parameters=registered.parameters,
                    uri=registered.model_uri,
                    validation_top1=registered.check.top1,
                    created_at=now,
                    project=load_config(session, run_id).project,
                    imported_from=weights.source,
                    weights_digest=weights.digest,
                )
            )
        case LabelResult() as labeled:
            record_labeling(session, run_id, action.generation, labeled, now)
        case EvaluateResult() as evaluated:
            session.execute(update(ModelRow).where(ModelRow.id == identity).values(test_top1=evaluated.metrics.top1))


def make_next_stage_ready(session: Session, run_id: str, now: float) -> None:
    """Makes the run's first pending stage ready at `now`, in Unix seconds, so that it enters the queue."""
    following = session.execute(
        select(StageRow)
        .where(StageRow.run_id == run_id, StageRow.state == StageState.PENDING)
        .order_by(StageRow.generation, StageRow.position)
        .limit(1)
    ).scalar_one_or_none()
    if following is not None:
        following.ready_at = now
