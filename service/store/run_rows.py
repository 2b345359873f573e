"""Loads the rows of a run and its parts, from which views are built."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict
from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from service.config.run import RunConfig
from service.lifecycle.states import OPEN_ATTEMPTS
from service.stages.spec_inputs import TrainedModel
from service.store.paging import get_row
from service.store.schema.columns import one_of
from service.store.schema.tables import AttemptRow, GenerationRow, ModelRow, RunRow, StageRow
from service.store.stored_values import read_if_possible
from workers.specs.results import EvaluateResult


@dataclass(frozen=True)
class GenerationRows:
    """Generations of one run, with their stages, attempts and models."""

    generations: Sequence[GenerationRow]
    stages: Sequence[StageRow]
    attempts: Sequence[AttemptRow] = ()
    models: Sequence[ModelRow] = ()
    given: ModelRow | None = None
    """The model of another run that is generation 0's."""


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
        given=_given_model(session, generations) if first == 0 else None,
    )


class _PlanPart(BaseModel):
    """The part of a GenerationPlan that names a model of another run."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    given: str | None = None


def _given_model(session: Session, generations: Sequence[GenerationRow]) -> ModelRow | None:
    teacher = next(generation for generation in generations if generation.number == 0)
    plan = read_if_possible(_PlanPart, teacher.plan, teacher.run_id)
    return None if plan is None or plan.given is None else session.get(ModelRow, plan.given)


def load_given_teacher(session: Session, config: RunConfig, run_id: str) -> dict[int, TrainedModel]:
    """Returns a run's given teacher by its generation, with what the run's own generation 0 measured of it.

    It is empty for a run that trains its first teacher, and for a caller who may not see the model.
    """
    row = None if config.teacher is None else session.get(ModelRow, config.teacher.model)
    if row is None:
        return {}
    stage = session.get(StageRow, (run_id, 0, "evaluate"))
    measured = None if stage is None or stage.result is None else EvaluateResult.model_validate_json(stage.result)
    validation = None if measured is None or measured.validation is None else measured.validation.metrics.top1
    test = None if measured is None else measured.metrics.top1
    return {0: TrainedModel(row.id, row.model, row.uri, validation, test)}


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
    """A run's name, and the request that created it, as logs and traces name it."""

    name: str
    request_id: str | None
    traceparent: str | None


def load_origin(session: Session, run_id: str) -> RunOrigin:
    """Returns the run's origin. Raises NoResultFound for an unknown run."""
    row = session.execute(select(RunRow.name, RunRow.request_id, RunRow.traceparent).where(RunRow.id == run_id)).one()
    return RunOrigin(row.name, row.request_id, row.traceparent)
