"""The queries for runs and their parts: generations, stages, attempts, models, events, metrics and logs."""

import json
from typing import TypeVar

from sqlalchemy import func, select

from service.artifacts.layout import ArtifactLayout
from service.config.settings.groups import RaySettings
from service.config.stage_key import StageKey
from service.errors import InvalidRequest, NotFound
from service.lifecycle.list_filter import EVERYTHING, ListFilter
from service.lifecycle.states import ACTIVE_RUNS, RunKind
from service.ray_client.jobs import RayJobs
from service.runs.job_places import JobFinder, JobPlace
from service.runs.logs import LogReader
from service.runs.progress import ProgressReader
from service.runs.view_builder import ViewBuilder, event_view, model_view, run_summary, stage_wait
from service.scheduling.queue_places import QueuePlaces
from service.stages.result_summary import confusion_matrices, read_confusion, without_confusion
from service.store.database import Database
from service.store.paging import check_owner, get_row, read_page
from service.store.run_rows import load_attempts, load_generation_rows, load_run_rows, load_waiting_attempts
from service.store.schema.tables import (
    AttemptRow,
    EventRow,
    GenerationRow,
    ModelRow,
    RunRow,
    StageRow,
    Table,
)
from service.views.base import Page
from service.views.runs import (
    AttemptView,
    ConfusionMatrix,
    EventView,
    GenerationView,
    LogTail,
    MetricRow,
    ModelView,
    RunSummary,
    RunView,
    StageConfusion,
    StageView,
)
from workers.specs.model_card import model_id

MAX_LOG_LINES = 10_000
Row = TypeVar("Row", bound=Table)


class RunQueries:
    """Thread-safe. Listings are newest first. Queries raise NotFound for unknown ids, InvalidRequest for a bad page."""

    def __init__(
        self, database: Database, layout: ArtifactLayout, ray: RaySettings, ray_jobs: RayJobs, places: QueuePlaces
    ) -> None:
        self._database = database
        self._views = ViewBuilder(layout, ray)
        self._places = places
        self._progress = ProgressReader(layout)
        self._logs = LogReader(layout, ray_jobs)
        self._jobs = JobFinder(ray_jobs, self._logs)

    def check_database(self) -> None:
        """Reads one run. Raises the database's or its driver's error if that fails."""
        with self._database.read_once() as session:
            session.execute(select(RunRow.id).limit(1))

    def get_run(self, run_id: str) -> RunView:
        with self._database.read() as session:
            view = self._places.fill_run(session, self._views.run(load_run_rows(session, run_id)))
        return self._progress.fill_run(view)

    def list_runs(
        self, limit: int = 50, cursor: str | None = None, wanted: ListFilter = EVERYTHING
    ) -> Page[RunSummary]:
        with self._database.read() as session:
            rows, following = read_page(
                session,
                RunRow,
                (RunRow.created_at, RunRow.id),
                limit,
                cursor,
                RunRow.kind == RunKind.RUN,
                wanted=wanted,
            )
            counted = (
                select(GenerationRow.run_id, func.count().label("generations"))
                .where(GenerationRow.run_id.in_([row.id for row in rows]))
                .group_by(GenerationRow.run_id)
            )
            counts = {row.run_id: row.generations for row in session.execute(counted)}
            places = self._places.of(session, rows)
            waits = load_waiting_attempts(session, [row.id for row in rows if row.state in ACTIVE_RUNS])
            items = [
                run_summary(row, counts.get(row.id, 0), places.get(row.id), stage_wait(waits.get(row.id, ())))
                for row in rows
            ]
            return Page(items=items, next_cursor=following)

    def get_generation(self, run_id: str, generation: int) -> GenerationView:
        with self._database.read() as session:
            row = get_row(session, GenerationRow, (run_id, generation), "generation", model_id(run_id, generation))
            [view] = self._views.generations(load_generation_rows(session, run_id, [row]))
        return self._progress.fill_generations([view])[0]

    def list_generations(self, run_id: str, limit: int = 50, cursor: str | None = None) -> Page[GenerationView]:
        with self._database.read() as session:
            mine = GenerationRow.run_id == run_id
            rows, following = read_page(session, GenerationRow, (GenerationRow.number,), limit, cursor, mine)
            check_owner(session, rows, RunRow, run_id, "run", run_id)
            views = self._views.generations(load_generation_rows(session, run_id, rows))
        return Page(items=self._progress.fill_generations(views), next_cursor=following)

    def get_stage(self, key: StageKey) -> StageView:
        return self._progress.fill_stages([self._stage(key)])[0]

    def list_stages(self, run_id: str, limit: int = 50, cursor: str | None = None) -> Page[StageView]:
        with self._database.read() as session:
            keys = (StageRow.generation, StageRow.position)
            rows, following = read_page(session, StageRow, keys, limit, cursor, StageRow.run_id == run_id)
            check_owner(session, rows, RunRow, run_id, "run", run_id)
            views = self._views.stages(rows, load_attempts(session, run_id, rows))
        return Page(items=self._progress.fill_stages(views), next_cursor=following)

    def get_attempt(self, key: StageKey, attempt: int) -> AttemptView:
        with self._database.read_once() as session:
            row = get_row(session, AttemptRow, (*key, attempt), "attempt", key.submission_id(attempt))
            return self._views.attempt(row)

    def list_attempts(self, key: StageKey, limit: int = 50, cursor: str | None = None) -> Page[AttemptView]:
        with self._database.read_once() as session:
            mine = (
                AttemptRow.run_id == key.run_id,
                AttemptRow.generation == key.generation,
                AttemptRow.stage == key.stage,
            )
            rows, following = read_page(session, AttemptRow, (AttemptRow.number,), limit, cursor, *mine)
            check_owner(session, rows, StageRow, key, "stage", key.stage_id)
            return Page(items=[self._views.attempt(row) for row in rows], next_cursor=following)

    def stage_metrics(self, key: StageKey) -> list[MetricRow]:
        """Returns the rows that the stage logged, ordered by attempt and step. Raises ArtifactStoreUnavailable."""
        return self._progress.metric_rows(self._stage(key))

    def stage_confusion(self, key: StageKey) -> StageConfusion:
        """Returns the confusion matrices in the stage's result. Raises NotFound if there are none."""
        with self._database.read_once() as session:
            row = get_row(session, StageRow, key, "stage", key.stage_id)
            result = {} if row.result is None else json.loads(row.result)
        matrices = {
            name: ConfusionMatrix(classes=list(metrics["per_class"]), counts=read_confusion(metrics).matrix())
            for name, metrics in confusion_matrices(result)
        }
        if not matrices:
            raise NotFound("confusion matrix", key.stage_id)
        return StageConfusion(matrices=matrices)

    def log_tail(self, key: StageKey, attempt: int | None = None, lines: int = 200) -> LogTail:
        """Returns the last lines of an attempt's log, by default the latest attempt's. Raises as `LogReader.tail` does.

        Raises InvalidRequest unless `lines` is 1 to MAX_LOG_LINES.
        """
        if not 1 <= lines <= MAX_LOG_LINES:
            raise InvalidRequest("lines", f"lines is 1 to {MAX_LOG_LINES}, not {lines}")
        attempts = {view.number: view for view in self._stage(key).attempts}
        number = max(attempts, default=1) if attempt is None else attempt
        if number not in attempts:
            raise NotFound("attempt", key.submission_id(number))
        return self._logs.tail(key, attempts[number], lines)

    def find_job(self, key: StageKey, attempt: int, may_see_dashboard: bool = True) -> JobPlace:
        """Returns where the attempt's Ray job is to be seen, as `JobFinder.find` does."""
        return self._jobs.find(key, self.get_attempt(key, attempt), may_see_dashboard)

    def list_events(self, run_id: str, limit: int = 50, cursor: str | None = None) -> Page[EventView]:
        with self._database.read_once() as session:
            rows, following = read_page(session, EventRow, (EventRow.id,), limit, cursor, EventRow.run_id == run_id)
            check_owner(session, rows, RunRow, run_id, "run", run_id)
            return Page(items=[event_view(row) for row in rows], next_cursor=following)

    def get_model(self, model_id: str) -> ModelView:
        with self._database.read_once() as session:
            return model_view(get_row(session, ModelRow, model_id, "model", model_id))

    def list_models(
        self,
        limit: int = 50,
        cursor: str | None = None,
        run_id: str | None = None,
        wanted: ListFilter = EVERYTHING,
    ) -> Page[ModelView]:
        """Returns a page of the models of all runs, or of one run."""
        with self._database.read_once() as session:
            conditions = () if run_id is None else (ModelRow.run_id == run_id,)
            keys = (ModelRow.created_at, ModelRow.id)
            rows, following = read_page(session, ModelRow, keys, limit, cursor, *conditions, wanted=wanted)
            if run_id is not None:
                check_owner(session, rows, RunRow, run_id, "run", run_id)
            return Page(items=[model_view(row) for row in rows], next_cursor=following)

    def _stage(self, key: StageKey) -> StageView:
        with self._database.read() as session:
            row = get_row(session, StageRow, key, "stage", key.stage_id)
            [view] = self._views.stages([row], load_attempts(session, key.run_id, [row]), without_confusion)
        return view
