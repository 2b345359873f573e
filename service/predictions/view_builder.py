"""Builds views of predictions from their rows."""

from collections.abc import Mapping, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.artifacts.layout import ArtifactLayout
from service.config.run import GenerationPlan
from service.config.stage_key import StageKey
from service.lifecycle.states import RunKind
from service.store.run_store import get_run_of_kind, load_results
from service.store.schema.tables import GenerationRow, RunRow
from service.store.stored_values import read_if_possible
from service.views.base import as_time, time_or_none
from service.views.studies import PredictionSummary, PredictionView
from workers.specs.results import PredictResult


def stage_of(prediction_id: str) -> StageKey:
    """Returns the key of a prediction's only stage."""
    return StageKey(prediction_id, 0, "predict")


def prediction_view(session: Session, layout: ArtifactLayout, prediction_id: str) -> PredictionView:
    """Returns the prediction without its progress. Raises NotFound."""
    row = get_run_of_kind(session, prediction_id, RunKind.PREDICTION)
    result = load_results(session, prediction_id, PredictResult).get(0)
    outcome = None if result is None else result.outcome
    return PredictionView(
        **prediction_summaries(session, [row])[0].model_dump(),
        progress=None,
        outcome=outcome,
        top1=None if outcome is None else outcome.top1,
        top5=None if outcome is None else outcome.top5,
        folder_uri=layout.stage_folder(stage_of(prediction_id)),
    )


def prediction_summaries(session: Session, rows: Sequence[RunRow]) -> list[PredictionSummary]:
    """Returns the predictions of a listing, in the order of the rows."""
    plans: Mapping[str, str] = {
        row.run_id: row.plan
        for row in session.execute(
            select(GenerationRow.run_id, GenerationRow.plan).where(GenerationRow.run_id.in_([row.id for row in rows]))
        )
    }
    return [_summary(row, plans[row.id]) for row in rows]


def _summary(row: RunRow, plan_text: str) -> PredictionSummary:
    plan = read_if_possible(GenerationPlan, plan_text, row.id)
    return PredictionSummary(
        id=row.id,
        name=row.name,
        project=row.project,
        state=row.state,
        state_reason=row.state_reason,
        settings=None if plan is None else plan.prediction,
        created_at=as_time(row.created_at),
        finished_at=time_or_none(row.finished_at),
    )
