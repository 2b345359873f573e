"""Builds views of searches and ablations from their rows and from the trials that the stage last wrote."""

from typing import TypeVar

from pydantic import BaseModel, ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from service.artifacts.bulkhead import artifact_store
from service.artifacts.layout import ArtifactLayout
from service.config.run import GenerationPlan
from service.config.stage_key import StageKey
from service.lifecycle.states import RunKind
from service.store.run_store import get_run_of_kind, load_results
from service.store.schema.tables import GenerationRow, RunRow
from service.store.stored_values import read_if_possible
from service.views.base import as_time, time_or_none
from service.views.studies import AblationView, SearchView, StudySummary
from workers.artifact_io import read_bytes_if_there
from workers.specs.ablation import ABLATION_FILE, AblationTrainings
from workers.specs.results import AblateResult, SearchResult
from workers.specs.search import COST_FILE, HEAT_MAP_FILE, TRIALS_FILE, Trial, Trials

File = TypeVar("File", bound=BaseModel)


class StudyViews:
    """Builds views of studies. Raises NotFound for an unknown search or ablation."""

    def __init__(self, layout: ArtifactLayout) -> None:
        self._layout = layout

    def search(self, session: Session, search_id: str) -> SearchView:
        """Returns the search with its trials."""
        row, generation = _derived(session, search_id, RunKind.SEARCH)
        plan = read_if_possible(GenerationPlan, generation.plan, search_id)
        result = load_results(session, search_id, SearchResult).get(generation.number)
        outcome = None if result is None else result.outcome
        folder = f"/runs/{search_id}/generations/{generation.number}/stages/search/pictures"
        return SearchView(
            **study_summary(row, generation.number).model_dump(),
            settings=None if plan is None else plan.search,
            trials=list(outcome.trials if outcome else self.trials(search_id, generation.number)),
            outcome=outcome,
            pictures=[f"{folder}/{name}" for name in (HEAT_MAP_FILE, COST_FILE)] if outcome else [],
        )

    def ablation(self, session: Session, ablation_id: str) -> AblationView:
        """Returns the ablation with its trainings."""
        row, generation = _derived(session, ablation_id, RunKind.ABLATION)
        plan = read_if_possible(GenerationPlan, generation.plan, ablation_id)
        result = load_results(session, ablation_id, AblateResult).get(generation.number)
        outcome = None if result is None else result.outcome
        uri = self._layout.stage_file(StageKey(ablation_id, generation.number, "ablate"), ABLATION_FILE)
        book = None if outcome else _read(uri, AblationTrainings)
        return AblationView(
            **study_summary(row, generation.number).model_dump(),
            settings=None if plan is None else plan.ablation,
            trainings=list(outcome.trainings if outcome else book.trainings if book else ()),
            outcome=outcome,
        )

    def trials(self, run_id: str, generation: int) -> tuple[Trial, ...]:
        """Returns the trials that a search stage last wrote."""
        book = _read(self._layout.stage_file(StageKey(run_id, generation, "search"), TRIALS_FILE), Trials)
        return book.trials if book else ()


def study_summary(row: RunRow, generation: int) -> StudySummary:
    return StudySummary(
        id=row.id,
        name=row.name,
        run_id=row.source_run_id or "",
        generation=generation,
        state=row.state,
        state_reason=row.state_reason,
        created_at=as_time(row.created_at),
        finished_at=time_or_none(row.finished_at),
    )


def _derived(session: Session, run_id: str, kind: RunKind) -> tuple[RunRow, GenerationRow]:
    row = get_run_of_kind(session, run_id, kind)
    return row, session.execute(select(GenerationRow).where(GenerationRow.run_id == run_id)).scalar_one()


def _read(uri: str, kind: type[File]) -> File | None:
    with artifact_store():
        data = read_bytes_if_there(uri)
    try:
        return None if data is None else kind.model_validate_json(data)
    except ValidationError:
        return None  # another version wrote it
