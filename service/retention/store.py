"""Reads what retention needs to know about runs, and writes its marks."""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict
from sqlalchemy import ColumnElement, CursorResult, Update, or_, select, update
from sqlalchemy.orm import Session

from service.config.policies import Artifact, RetentionOverrides, RetentionPolicy
from service.lifecycle.states import RunState, StageState
from service.retention.decisions import Decision, GenerationFacts, RunFacts, StageFacts, ancestors
from service.stages.order import stage_name
from service.store.schema.tables import CollectionRow, GenerationRow, ModelRow, RunRow, StageRow
from service.store.stored_values import read_if_possible


class _ConfigPart(BaseModel):
    """The part of a RunConfig that retention needs. Parsing all of it would take several times as long."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    retention: RetentionOverrides = RetentionOverrides()


def load_run_facts(session: Session, run_ids: Sequence[str], default: RetentionPolicy) -> list[RunFacts]:
    """Returns the facts that decide on the runs' artifacts, in the order of `run_ids`.

    It leaves out runs whose configuration cannot be read.
    """
    configs = {
        row.id: part
        for row in session.execute(select(RunRow.id, RunRow.config).where(RunRow.id.in_(run_ids)))
        # If a run's configuration cannot be read, nothing of the run is collected.
        if (part := read_if_possible(_ConfigPart, row.config, row.id)) is not None
    }
    generations: dict[str, dict[int, list[StageFacts]]] = {}
    marks = _marks(session, run_ids)
    rows = session.execute(
        select(StageRow.run_id, StageRow.generation, StageRow.name, StageRow.state, StageRow.finished_at)
        .where(StageRow.run_id.in_(run_ids))
        .order_by(StageRow.run_id, StageRow.generation, StageRow.position)
    )
    for row in rows:
        facts = StageFacts(
            name=stage_name(row.name),
            finished_at=row.finished_at if row.state == StageState.SUCCEEDED else None,
            marked=marks.get((row.run_id, row.generation, row.name), frozenset()),
        )
        generations.setdefault(row.run_id, {}).setdefault(row.generation, []).append(facts)
    kept, readers = _kept_for(session, run_ids), _readers(session, run_ids)
    return [
        RunFacts(
            run_id=run_id,
            policy=configs[run_id].retention.over(default),
            generations=tuple(
                GenerationFacts(
                    number=number,
                    stages=tuple(of_generation),
                    kept_for=kept.get((run_id, number)),
                    read_by=tuple(readers.get((run_id, number), ())),
                )
                for number, of_generation in generations.get(run_id, {}).items()
            ),
        )
        for run_id in run_ids
        if run_id in configs
    ]


def mark(session: Session, run_id: str, decisions: Sequence[Decision], policy: RetentionPolicy, now: float) -> int:
    """Marks the artifacts to collect and returns how many. The caller must hold the run's lock."""
    going = [decision for decision in decisions if decision.collect]
    for decision in going:
        session.add(
            CollectionRow(
                run_id=run_id,
                generation=decision.generation,
                stage=decision.stage,
                artifact=decision.artifact,
                keep_last=policy.keep_last_checkpoints,
                marked_at=now,
            )
        )
    session.flush()
    return len(going)


def marked_rows(session: Session, now: float, limit: int) -> Sequence[CollectionRow]:
    """Returns up to `limit` marks that are neither collected nor claimed at `now`, oldest first."""
    statement = (
        select(CollectionRow)
        .where(CollectionRow.collected_at.is_(None), _unclaimed(now))
        .order_by(CollectionRow.marked_at)
        .limit(limit)
    )
    return session.scalars(statement).all()


def claim(session: Session, row: CollectionRow, now: float, until: float) -> bool:
    """Claims a marked artifact for this process. Returns False if another process was first."""
    statement = update(CollectionRow).where(*_is(row), CollectionRow.collected_at.is_(None), _unclaimed(now))
    return _changed(session, statement.values(claimed_until=until))


def renew_claim(session: Session, row: CollectionRow, held_until: float, until: float) -> bool:
    """Extends a claim. Returns False if it has expired and another process has claimed the artifact."""
    statement = update(CollectionRow).where(*_is(row), CollectionRow.claimed_until == held_until)
    return _changed(session, statement.values(claimed_until=until))


def set_collected(
    session: Session, row: CollectionRow, held_until: float, now: float, files: int, size: int, digest: str
) -> bool:
    """Records that the files are gone. Returns False if this process no longer holds the claim."""
    statement = update(CollectionRow).where(*_is(row), CollectionRow.claimed_until == held_until)
    return _changed(
        session, statement.values(collected_at=now, claimed_until=None, files=files, bytes=size, digest=digest)
    )


def labels_are_collected(session: Session, run_id: str, generation: int) -> bool:
    """Whether a generation's labels or selection are marked or already deleted."""
    statement = select(CollectionRow.stage).where(
        CollectionRow.run_id == run_id,
        CollectionRow.generation == generation,
        CollectionRow.artifact.in_([Artifact.LABELS, Artifact.SELECTION]),
    )
    return session.execute(statement.limit(1)).first() is not None


def _marks(session: Session, run_ids: Sequence[str]) -> dict[tuple[str, int, str], frozenset[Artifact]]:
    marks: dict[tuple[str, int, str], frozenset[Artifact]] = {}
    columns = (CollectionRow.run_id, CollectionRow.generation, CollectionRow.stage, CollectionRow.artifact)
    for row in session.execute(select(*columns).where(CollectionRow.run_id.in_(run_ids))):
        key = (row.run_id, row.generation, row.stage)
        marks[key] = marks.get(key, frozenset()) | {Artifact(row.artifact)}
    return marks


class _PlanPart(BaseModel):
    """The part of a GenerationPlan that says whose model teaches."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    teacher: int | None = None


def _kept_for(session: Session, run_ids: Sequence[str]) -> dict[tuple[str, int], str]:
    """Returns the kept model that each generation trained or that descends from its model, by run and generation."""
    columns = (ModelRow.id, ModelRow.run_id, ModelRow.generation, ModelRow.kept)
    models = session.execute(select(*columns).where(ModelRow.run_id.in_(run_ids)).order_by(ModelRow.generation)).all()
    kept = [model for model in models if model.kept]
    refused = {
        (row.run_id, row.number)
        for row in session.execute(
            select(GenerationRow.run_id, GenerationRow.number).where(
                GenerationRow.run_id.in_({model.run_id for model in kept}), GenerationRow.promoted.is_(False)
            )
        )
    }
    chosen: dict[str, dict[int, int | None]] = {model.run_id: {} for model in kept}
    for row in session.execute(
        select(GenerationRow.run_id, GenerationRow.number, GenerationRow.plan).where(GenerationRow.run_id.in_(chosen))
    ):
        plan = read_if_possible(_PlanPart, row.plan, row.run_id)
        chosen[row.run_id][row.number] = None if plan is None else plan.teacher
    found: dict[tuple[str, int], str] = {}
    for model in kept:
        trained = frozenset(other.generation for other in models if other.run_id == model.run_id)
        not_promoted = frozenset(number for run_id, number in refused if run_id == model.run_id)
        for generation in ancestors(model.generation, trained, not_promoted, chosen[model.run_id]):
            found.setdefault((model.run_id, generation), model.id)
    return found


def _readers(session: Session, run_ids: Sequence[str]) -> dict[tuple[str, int], list[str]]:
    """Returns the searches and ablations that have not succeeded, by the run and generation whose labels they read."""
    rows = session.execute(
        select(RunRow.id, RunRow.source_run_id, GenerationRow.number)
        .join(GenerationRow, GenerationRow.run_id == RunRow.id)
        .where(RunRow.source_run_id.in_(run_ids), RunRow.state != RunState.SUCCEEDED)
        .order_by(RunRow.created_at, RunRow.id)
    )
    readers: dict[tuple[str, int], list[str]] = {}
    for row in rows:
        readers.setdefault((row.source_run_id, row.number), []).append(row.id)
    return readers


def _unclaimed(now: float) -> ColumnElement[bool]:
    return or_(CollectionRow.claimed_until.is_(None), CollectionRow.claimed_until <= now)


def _is(row: CollectionRow) -> tuple[ColumnElement[bool], ...]:
    return (
        CollectionRow.run_id == row.run_id,
        CollectionRow.generation == row.generation,
        CollectionRow.stage == row.stage,
        CollectionRow.artifact == row.artifact,
    )


def _changed(session: Session, statement: Update) -> bool:
    result = session.execute(statement.execution_options(synchronize_session=False))
    assert isinstance(result, CursorResult)
    return result.rowcount == 1
