"""Records what the driver of an attempt reports, and tells the run's history when a wait begins, changes or ends."""

from sqlalchemy import Update, select, update
from sqlalchemy.orm import Session

from service.config.events import EventKind
from service.lifecycle.actions import RecordDevices, RecordWait
from service.store.run_store import add_event
from service.store.schema.tables import AttemptRow
from service.store.stored_values import recorded_wait


def record_devices(session: Session, run_id: str, action: RecordDevices) -> None:
    """From here on the attempt is charged for these devices, for all its time since the submission."""
    values = {"device_kind": action.devices.kind.value, "devices": action.devices.count}
    session.execute(_change(run_id, action).values(values))


def record_wait(session: Session, run_id: str, action: RecordWait, now: float) -> None:
    """The history gets a line for each kind of wait; the reason may change with every node that comes or goes."""
    job_id = action.key(run_id).submission_id(action.attempt)
    statement = select(AttemptRow.waiting).where(AttemptRow.submission_id == job_id)
    before, waiting = recorded_wait(session.execute(statement).scalar_one(), job_id), action.waiting
    session.execute(_change(run_id, action).values(waiting=None if waiting is None else waiting.model_dump_json()))
    where = (action.generation, action.stage, action.attempt)
    if waiting is not None and (before is None or before.kind != waiting.kind):
        kind = "waiting" if waiting.kind is None else waiting.kind.value
        add_event(session, run_id, now, EventKind.STAGE_WAITING, f"{kind}: {waiting.reason}", *where)
    elif waiting is None and before is not None:
        seconds = max(0.0, now - before.since)
        add_event(session, run_id, now, EventKind.STAGE_PLACED, f"after {seconds:.0f} s", *where)


def _change(run_id: str, action: RecordDevices | RecordWait) -> Update:
    return update(AttemptRow).where(AttemptRow.submission_id == action.key(run_id).submission_id(action.attempt))
