"""Loads the rows of a run and its parts, from which views are built."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from service.lifecycle.states import OPEN_ATTEMPTS
from service.store.paging import get_row
from service.store.schema.columns import one_of
from service.store.schema.tables import AttemptRow, GenerationRow, ModelRow, RunRow, StageRow


@dataclass(frozen=True)
class GenerationRows:
    """Generations of one run, with their stages, attempts and models."""

    generations: Sequence[GenerationRow]
    stages: Sequence[StageRow]
    attempts: Sequence[AttemptRow] = ()
    models: Sequence[ModelRow] = ()


@dataclass(frozen=True)
class RunRows:
    """A run with all its generations."""

    run: RunRow
    parts: GenerationRows


def load_run_rows(session: Session, run_id: str) -> RunRows:
    """Returns the run with all its parts. Raises NotFound."""
    run = get_row(session, RunRow, run_id, "run", run_id)
    generations = session.scalars(
        select(GenerationRow).where(GenerationRow.run_id == run_id).order_by(GenerationRow.number)
    )
    return RunRows(run, load_generation_rows(session, run_id, generations.all()))


def load_generation_rows(session: Session, run_id: str, generations: Sequence[GenerationRow]) -> GenerationRows:
    """Returns the stages, attempts and models of these generations of the run. Their numbers must be consecutive."""
    numbers = [generation.number for generation in generations]
    if not numbers:
        return GenerationRows([], [])
    first, last = min(numbers), max(numbers)
    of_stage = and_(
        AttemptRow.run_id == StageRow.run_id,
        AttemptRow.generation == StageRow.generation,
        AttemptRow.stage == StageRow.name,
    )
    rows = session.execute(
        select(StageRow, AttemptRow)
        .outerjoin(AttemptRow, of_stage)
        .where(StageRow.run_id == run_id, StageRow.generation.between(first, last))
        .order_by(StageRow.generation, StageRow.position, AttemptRow.number)
    ).all()
    models = session.scalars(
        select(ModelRow).where(ModelRow.run_id == run_id, ModelRow.generation.between(first, last))
    )
    return GenerationRows(
        generations,
        stages=list(dict.fromkeys(stage for stage, _ in rows)),
        attempts=[attempt for _, attempt in rows if attempt is not None],
        models=models.all(),
    )


def load_attempts(session: Session, run_id: str, stages: Iterable[StageRow]) -> Sequence[AttemptRow]:
    """Returns the attempts of these stages, ordered by number, and possibly those of other stages of the run."""
    numbers = [stage.generation for stage in stages]
    if not numbers:
        return []
    return session.scalars(
        select(AttemptRow)
        .where(AttemptRow.run_id == run_id, AttemptRow.generation.between(min(numbers), max(numbers)))
        .order_by(AttemptRow.number)
    ).all()


def load_waiting_attempts(session: Session, run_ids: Collection[str]) -> dict[str, list[AttemptRow]]:
    """Returns the attempts of these runs that are on the cluster and have reported a wait, by run id."""
    if not run_ids:
        return {}
    rows = session.scalars(
        select(AttemptRow).where(
            AttemptRow.run_id.in_(run_ids), one_of(AttemptRow.state, OPEN_ATTEMPTS), AttemptRow.waiting.is_not(None)
        )
    )
    return {row.run_id: [row] for row in rows}


@dataclass(frozen=True)
class RunOrigin:
    """The request that created a run, as logs and traces name it."""

    request_id: str | None
    traceparent: str | None


def load_origin(session: Session, run_id: str) -> RunOrigin:
    """Returns the run's origin. Raises NoResultFound for an unknown run."""
    row = session.execute(select(RunRow.request_id, RunRow.traceparent).where(RunRow.id == run_id)).one()
    return RunOrigin(row.request_id, row.traceparent)
