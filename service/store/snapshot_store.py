"""Reads the snapshots of runs that the state machine needs: all active runs in a few queries."""

from collections.abc import Collection

from pydantic import ValidationError
from sqlalchemy import ColumnElement, and_, select
from sqlalchemy.exc import NoResultFound
from sqlalchemy.orm import Session

from service.errors import Conflict
from service.lifecycle.run_rules import RunRules, rules_of
from service.lifecycle.snapshots import AttemptSnapshot, GenerationSnapshot, RunSnapshot, StageSnapshot
from service.lifecycle.states import ACTIVE_RUNS, AttemptState, GenerationState, RunState, StageState
from service.stages.order import stage_name
from service.store.schema.tables import AttemptRow, GenerationRow, RunRow, StageRow
from service.store.stored_values import recorded_devices, recorded_wait
from workers.specs.reports import FailureReason

_READ_AT_ONCE = 1_000
"""How many run ids to pass to one query. Databases accept some ten thousand parameters per query."""


class KnownRules:
    """Caches the rules of runs, for one database and one thread.

    Without it every tick would read megabytes of configurations for a thousand runs.
    """

    def __init__(self) -> None:
        self._rules: dict[str, RunRules] = {}
        self.refused: dict[str, str] = {}
        """Why runs of the last call of `of` have no rules, by run id: another version wrote their configurations."""

    def of(self, session: Session, run_ids: Collection[str], ending: Collection[str] = ()) -> dict[str, RunRules]:
        """Returns the rules by run id, without the runs that do not exist and those that are `refused`.

        A run in `ending` does nothing more that depends on its configuration, so it gets the default rules if its
        configuration cannot be read.
        """
        self.refused = {}
        unknown = sorted(set(run_ids) - self._rules.keys())
        for first in range(0, len(unknown), _READ_AT_ONCE):
            some = RunRow.id.in_(unknown[first : first + _READ_AT_ONCE])
            for run_id, config in session.execute(select(RunRow.id, RunRow.config).where(some)):
                try:
                    self._rules[run_id] = rules_of(config)
                except ValidationError as error:
                    if run_id in ending:
                        self._rules[run_id] = RunRules()
                        continue
                    self.refused[run_id] = f"this version of the service cannot read its configuration: {error}"
        return {run_id: self._rules[run_id] for run_id in run_ids if run_id in self._rules}

    def forget_all_but(self, run_ids: Collection[str]) -> None:
        """Drops the rules of all other runs: they are over."""
        for run_id in self._rules.keys() - set(run_ids):
            del self._rules[run_id]


def load_active_runs(
    session: Session, known_rules: KnownRules, run_ids: Collection[str] | None = None
) -> list[RunSnapshot]:
    """Returns the active runs, or those of them in `run_ids`, oldest first, without those that `known_rules` refuses.

    It takes four queries, and one more if there are runs whose rules are not cached yet. The snapshots leave out the
    stages of succeeded generations and the attempts of succeeded stages; otherwise a thousand runs would take seconds.
    """
    active = RunRow.state.in_([state.value for state in ACTIVE_RUNS])
    which = active if run_ids is None else and_(active, RunRow.id.in_(run_ids))
    return _load_snapshots(session, which, known_rules)


def load_snapshot(session: Session, run_id: str) -> RunSnapshot:
    """Returns the run's snapshot, in the form that `load_active_runs` gives it.

    Raises NoResultFound for an unknown run, and Conflict if its configuration cannot be read.
    """
    known_rules = KnownRules()
    found = _load_snapshots(session, RunRow.id == run_id, known_rules)
    if run_id in known_rules.refused:
        raise Conflict(f"this version of the service cannot read the configuration of {run_id}")
    if not found:
        raise NoResultFound(run_id)
    return found[0]


def _load_snapshots(session: Session, which: ColumnElement[bool], known_rules: KnownRules) -> list[RunSnapshot]:
    generations = _generations_by_run(session, which)
    statement = select(RunRow.id, RunRow.state, RunRow.request_id).where(which).order_by(RunRow.created_at, RunRow.id)
    runs = session.execute(statement).all()
    ending = {run.id for run in runs if run.state == RunState.CANCELLING}
    rules = known_rules.of(session, [run.id for run in runs], ending)
    return [
        RunSnapshot(
            run_id=run.id,
            state=RunState(run.state),
            generations=tuple(generations.get(run.id, ())),
            rules=rules[run.id],
            request_id=run.request_id,
        )
        for run in runs
        if run.id in rules
    ]


def _generations_by_run(session: Session, which: ColumnElement[bool]) -> dict[str, list[GenerationSnapshot]]:
    stages = _stages_by_generation(session, which)
    rows = session.execute(
        select(
            GenerationRow.run_id,
            GenerationRow.number,
            GenerationRow.state,
            GenerationRow.promoted,
            GenerationRow.gate_reason,
        )
        .join(RunRow, RunRow.id == GenerationRow.run_id)
        .where(which)
        .order_by(GenerationRow.number)
    )
    generations: dict[str, list[GenerationSnapshot]] = {}
    for row in rows:
        snapshot = GenerationSnapshot(
            number=row.number,
            state=GenerationState(row.state),
            stages=tuple(stages.get((row.run_id, row.number), ())),
            promoted=row.promoted,
            gate_reason=row.gate_reason,
        )
        generations.setdefault(row.run_id, []).append(snapshot)
    return generations


def _stages_by_generation(session: Session, which: ColumnElement[bool]) -> dict[tuple[str, int], list[StageSnapshot]]:
    attempts = _attempts_by_stage(session, which)
    rows = session.execute(
        select(StageRow.run_id, StageRow.generation, StageRow.name, StageRow.state, StageRow.attempts_before_retry)
        .join(RunRow, RunRow.id == StageRow.run_id)
        .join(GenerationRow, and_(GenerationRow.run_id == StageRow.run_id, GenerationRow.number == StageRow.generation))
        .where(which, GenerationRow.state != GenerationState.SUCCEEDED)
        .order_by(StageRow.position)
    )
    stages: dict[tuple[str, int], list[StageSnapshot]] = {}
    for row in rows:
        snapshot = StageSnapshot(
            generation=row.generation,
            name=stage_name(row.name),
            state=StageState(row.state),
            attempts=tuple(attempts.get((row.run_id, row.generation, row.name), ())),
            attempts_before_retry=row.attempts_before_retry,
        )
        stages.setdefault((row.run_id, row.generation), []).append(snapshot)
    return stages


def _attempts_by_stage(
    session: Session, which: ColumnElement[bool]
) -> dict[tuple[str, int, str], list[AttemptSnapshot]]:
    rows = session.execute(
        select(
            AttemptRow.run_id,
            AttemptRow.generation,
            AttemptRow.stage,
            AttemptRow.number,
            AttemptRow.state,
            AttemptRow.created_at,
            AttemptRow.failure_reason,
            AttemptRow.failure_message,
            AttemptRow.submitted_at,
            AttemptRow.pause_requested_at,
            AttemptRow.stop_requested_at,
            AttemptRow.stop_asked_at,
            AttemptRow.finished_at,
            AttemptRow.device_kind,
            AttemptRow.devices,
            AttemptRow.waiting,
        )
        .join(RunRow, RunRow.id == AttemptRow.run_id)
        .join(
            StageRow,
            and_(
                StageRow.run_id == AttemptRow.run_id,
                StageRow.generation == AttemptRow.generation,
                StageRow.name == AttemptRow.stage,
            ),
        )
        .where(which, StageRow.state != StageState.SUCCEEDED)
        .order_by(AttemptRow.number)
    )
    attempts: dict[tuple[str, int, str], list[AttemptSnapshot]] = {}
    for row in rows:
        snapshot = AttemptSnapshot(
            number=row.number,
            state=AttemptState(row.state),
            created_at=row.created_at,
            failure_reason=FailureReason(row.failure_reason) if row.failure_reason else None,
            failure_message=row.failure_message,
            submitted_at=row.submitted_at,
            pause_requested_at=row.pause_requested_at,
            stop_requested_at=row.stop_requested_at,
            stop_asked_at=row.stop_asked_at,
            finished_at=row.finished_at,
            devices=recorded_devices(row.device_kind, row.devices),
            waiting=recorded_wait(row.waiting, row.run_id),
        )
        attempts.setdefault((row.run_id, row.generation, row.stage), []).append(snapshot)
    return attempts
