"""The commands on retention: preview what it would delete, apply it now, and keep a model."""

import time
from collections.abc import Callable

from sqlalchemy import select, update

from service.artifacts.bulkhead import artifact_store
from service.artifacts.layout import ArtifactLayout
from service.config.events import EventKind
from service.config.policies import RetentionPolicy
from service.config.stage_key import StageKey
from service.retention.decisions import decide_retention, next_look
from service.retention.files import files_to_collect
from service.retention.looks import RetentionLook, note_looks, runs_to_look_at
from service.retention.store import load_run_facts, mark
from service.runs.view_builder import model_view
from service.store.database import Database
from service.store.paging import get_row, read_page
from service.store.run_store import add_event, lock_run
from service.store.schema.tables import ModelRow, RunRow
from service.store.transitions import look_again
from service.views.base import Page
from service.views.retention import Marked, PreviewedArtifact
from service.views.runs import ModelView

_RUNS_AT_ONCE = 200


class RetentionCommands:
    """Previews and applies retention. Thread-safe. `clock` returns Unix seconds."""

    def __init__(
        self,
        database: Database,
        layout: ArtifactLayout,
        policy: RetentionPolicy,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._policy = policy
        self._layout = layout
        self._clock = clock

    def plan(self, limit: int = 50, cursor: str | None = None, run_id: str | None = None) -> Page[PreviewedArtifact]:
        """Returns the decisions on the artifacts of up to `limit` runs, newest first, or of one run. Marks nothing.

        Raises NotFound, ArtifactStoreUnavailable.
        """
        now = self._clock()
        with self._database.read() as session:
            if run_id is not None:
                get_row(session, RunRow, run_id, "run", run_id)
            conditions = () if run_id is None else (RunRow.id == run_id,)
            rows, following = read_page(session, RunRow, (RunRow.created_at, RunRow.id), limit, cursor, *conditions)
            facts = load_run_facts(session, [row.id for row in rows], self._policy)
        items = []
        for run in facts:
            for decision in decide_retention(run, now):
                sizes: dict[str, int] | None = None
                if decision.collect:
                    folder = self._layout.stage_folder(StageKey(run.run_id, decision.generation, decision.stage))
                    with artifact_store():
                        sizes = files_to_collect(folder, decision.artifact, run.policy.keep_last_checkpoints)
                    if not sizes:
                        continue  # there are no files to delete
                items.append(
                    PreviewedArtifact(
                        run_id=run.run_id,
                        generation=decision.generation,
                        stage=decision.stage,
                        artifact=decision.artifact,
                        collect=decision.collect,
                        reason=decision.reason,
                        files=None if sizes is None else len(sizes),
                        bytes=None if sizes is None else sum(sizes.values()),
                    )
                )
        return Page(items=items, next_cursor=following)

    def apply(self, run_id: str | None = None) -> Marked:
        """Marks what may go, in one run or in all. The reconciler's process then deletes it. Raises NotFound."""
        if run_id is not None:
            with self._database.read() as session:
                get_row(session, RunRow, run_id, "run", run_id)
            return Marked(marked=self._mark(run_id))
        total, now = 0, self._clock()
        while (marked := self.mark_next(now)) is not None:
            total += marked
        return Marked(marked=total)

    def mark_next(self, now: float) -> int | None:
        """Looks at up to 200 runs that are due by `now`, in Unix seconds, and marks what may go.

        Returns how many artifacts it marked, or None if no run was due.
        """
        with self._database.read() as session:
            due = runs_to_look_at(session, self._policy, now, _RUNS_AT_ONCE)
            facts = load_run_facts(session, list(due), self._policy)
        if not due:
            return None
        marked, looks = 0, []
        for run in facts:
            decisions = decide_retention(run, now)
            if any(decision.collect for decision in decisions):
                marked += self._mark(run.run_id)
            else:
                looks.append(RetentionLook(run.run_id, due[run.run_id], next_look(decisions)))
        with self._database.write() as session:
            note_looks(session, looks, self._policy)
        return marked

    def set_kept(self, model_id: str, kept: bool) -> ModelView:
        """Makes retention keep a model and all that it came from in its run, or release it. Raises NotFound.

        Repeating this is no error.
        """
        with self._database.write() as session:
            row = get_row(session, ModelRow, model_id, "model", model_id)
            now = self._clock()
            lock_run(session, row.run_id, now)
            session.refresh(row)
            if row.kept != kept:
                session.execute(update(ModelRow).where(ModelRow.id == model_id).values(kept=kept))
                kind = EventKind.MODEL_KEPT if kept else EventKind.MODEL_RELEASED
                add_event(session, row.run_id, now, kind, model_id, row.generation)
                session.refresh(row)
                look_again(session, row.run_id, now)
            return model_view(row)

    def _mark(self, run_id: str) -> int:
        """Decides again under the run's lock and marks what may go. Returns how many artifacts it marked.

        The lock is needed because a command that makes use of an artifact takes the same lock first.
        """
        with self._database.write() as session:
            now = self._clock()
            lock_run(session, run_id, now)
            due_at = session.execute(select(RunRow.retention_due_at).where(RunRow.id == run_id)).scalar_one()
            [run] = load_run_facts(session, [run_id], self._policy)
            decisions = decide_retention(run, now)
            note_looks(session, [RetentionLook(run_id, due_at, next_look(decisions))], self._policy)
            return mark(session, run_id, decisions, run.policy, now)
