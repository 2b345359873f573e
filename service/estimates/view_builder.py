"""Builds views of plans from their rows, with the bill once everything is measured."""

from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.config.run import EstimateSettings, GenerationPlan, RunConfig
from service.estimates.estimated_run import DatasetSize, JobTimes
from service.estimates.forecast import write_bill
from service.lifecycle.states import RunKind
from service.runs.checks import dataset_ids
from service.runs.view_builder import stage_times
from service.stages.generation_plans import generation_plans
from service.store.dataset_store import is_version_of, load_labeled_by
from service.store.run_store import get_run_of_kind, load_results
from service.store.schema.tables import AttemptRow, DatasetRow, GenerationRow, RunRow, StageRow
from service.store.stored_values import read_if_possible
from service.views.base import as_time, time_or_none
from service.views.estimates import Bill, EstimateSummary, EstimateView
from workers.specs.results import MeasureResult


def estimate_view(session: Session, plan_id: str, tick_seconds: float) -> EstimateView:
    """Returns the plan with its bill. `tick_seconds` is the reconciler's pause between ticks. Raises NotFound."""
    row = get_run_of_kind(session, plan_id, RunKind.PLAN)
    config = read_if_possible(RunConfig, row.config, plan_id)
    statement = select(GenerationRow.plan).where(GenerationRow.run_id == plan_id)
    plan = read_if_possible(GenerationPlan, session.execute(statement).scalar_one(), plan_id)
    settings = None if plan is None else plan.bill
    measured = load_results(session, plan_id, MeasureResult).get(0)
    return EstimateView(
        **estimate_summary(row).model_dump(),
        run=config,
        settings=settings,
        bill=None
        if config is None or settings is None or measured is None
        else _bill(session, plan_id, config, settings, measured, tick_seconds),
        measurement=None if measured is None else measured.measurement,
    )


def estimate_summary(row: RunRow) -> EstimateSummary:
    return EstimateSummary(
        id=row.id,
        name=row.name,
        state=row.state,
        state_reason=row.state_reason,
        created_at=as_time(row.created_at),
        finished_at=time_or_none(row.finished_at),
    )


def _bill(
    session: Session,
    plan_id: str,
    config: RunConfig,
    settings: EstimateSettings,
    measured: MeasureResult,
    tick_seconds: float,
) -> Bill:
    stage = session.get_one(StageRow, (plan_id, 0, "measure"))
    attempts = session.scalars(select(AttemptRow).where(AttemptRow.run_id == plan_id)).all()
    times = stage_times(stage, measured.timing, attempts)
    assert times is not None  # the stage has succeeded
    # The plan may have waited in the queue, which the bill must not include: a stage that nothing delays waits for the
    # reconciler's next tick.
    job = JobTimes(tick_seconds, times.start_seconds, times.finish_seconds)
    return write_bill(config, settings, _sizes(session, config), measured.measurement, job)


def _sizes(session: Session, config: RunConfig) -> dict[str, DatasetSize]:
    parts = dataset_ids(config.datasets) | config.evaluation.external_datasets
    for number, overrides in config.generation_overrides.items():
        if overrides.unlabeled is not None:
            parts[f"unlabeled.{number}"] = overrides.unlabeled
    rows = {part: session.get_one(DatasetRow, dataset) for part, dataset in parts.items()}
    reused = {f"reused.{number}": _size(row) for number, row in _labeled_before(session, config, rows).items()}
    return {part: _size(row) for part, row in rows.items()} | reused


def _labeled_before(session: Session, config: RunConfig, rows: Mapping[str, DatasetRow]) -> dict[int, DatasetRow]:
    """Returns the largest version of each generation's pool that its teacher will have labeled before, if any."""
    found: dict[int, DatasetRow] = {}
    given = () if config.teacher is None else load_labeled_by(session, config)
    labeled: list[tuple[int, DatasetRow]] = [(0, row) for row in given]
    for number, plan in enumerate(generation_plans(config)[1:], start=1):
        pool = rows.get(f"unlabeled.{number}", rows["unlabeled"])
        teacher = number - 1 if plan.teacher is None else plan.teacher
        versions = [row for by, row in labeled if by == teacher and is_version_of(row, pool)]
        if versions:
            found[number] = max(versions, key=lambda row: row.version)
        labeled.append((teacher, pool))
    return found


def _size(row: DatasetRow) -> DatasetSize:
    return DatasetSize(row.rows, row.shards)
