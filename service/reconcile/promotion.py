"""Records whether the run's gate promotes a student."""

from sqlalchemy import update
from sqlalchemy.orm import Session

from service.config.events import EventKind
from service.config.gate import gate_failure
from service.lifecycle.teachers import teacher_generation
from service.store.run_store import add_event, load_config, load_plans, load_results
from service.store.schema.tables import GenerationRow
from service.store.snapshot_store import load_snapshot
from workers.specs.results import EvaluateResult


def judge_promotion(session: Session, run_id: str, generation: int, now: float) -> None:
    """Records whether the gate promotes the generation's model, with an event.

    It does nothing if the run has no gate, for the first teacher, and for a generation without an evaluation.
    """
    gate = load_config(session, run_id).gate
    evaluations = load_results(session, run_id, EvaluateResult)
    if gate is None or generation == 0 or generation not in evaluations:
        return
    refused = {each.number for each in load_snapshot(session, run_id).generations if each.promoted is False}
    chosen = {number: plan.teacher for number, plan in load_plans(session, run_id).items()}
    teacher_number = teacher_generation(generation, evaluations, refused, chosen)
    teacher = None if teacher_number is None else evaluations[teacher_number]
    reason = gate_failure(gate.conditions, gate.on, evaluations[generation], teacher)
    session.execute(
        update(GenerationRow)
        .where(GenerationRow.run_id == run_id, GenerationRow.number == generation)
        .values(promoted=reason is None, gate_reason=reason, gate_on=gate.on)
    )
    kind = EventKind.PROMOTED if reason is None else EventKind.NOT_PROMOTED
    measured = f"measured on {gate.on} images"
    add_event(session, run_id, now, kind, measured if reason is None else f"{reason} ({measured})", generation)
