"""Shows projects and the queue to users, and sets quotas."""

import time
from collections.abc import Callable

from sqlalchemy.orm import Session

from service.access.own_project import for_all_projects
from service.config.policies import Quota
from service.config.settings.groups import ReconcilerSettings
from service.scheduling.queue_places import QueuePlaces
from service.scheduling.queue_reader import count_running
from service.scheduling.quotas import budgets_of, set_quota
from service.store.database import Database
from service.store.paging import get_row, read_page
from service.store.schema.caller_tables import ProjectRow
from service.store.visibility import visible_projects
from service.views.base import Page, as_time
from service.views.queue import ProjectView, QueuedStage, QueueView


class Projects:
    """The queries and commands for projects and the queue. Thread-safe. `clock` returns Unix seconds."""

    def __init__(
        self,
        database: Database,
        reconciler: ReconcilerSettings,
        places: QueuePlaces,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._max_concurrent_stages = reconciler.max_concurrent_stages
        self._places = places
        self._clock = clock

    def list_projects(self, limit: int = 50, cursor: str | None = None) -> Page[ProjectView]:
        """Returns a page of projects in descending order of their names. Raises InvalidRequest for a bad page."""
        with self._database.read() as session:
            rows, following = read_page(session, ProjectRow, (ProjectRow.name,), limit, cursor)
            return Page(items=self._views(session, rows), next_cursor=following)

    def get_project(self, name: str) -> ProjectView:
        """Returns the project. Raises NotFound if no run and no quota has ever named it."""
        with self._database.read() as session:
            return self._view(session, name)

    def set_quota(self, name: str, quota: Quota) -> ProjectView:
        """Sets the project's quota and returns the project.

        Once the quota is exhausted, running stages continue and stages that have not started wait. Raises Forbidden
        for a caller who is limited to projects.
        """
        for_all_projects("a project does not set its own quota")
        with self._database.write() as session:
            set_quota(session, name, quota.device_hours)
            view = self._view(session, name)
        self._places.forget()
        return view

    def queue(self, limit: int = 50) -> QueueView:
        """Returns the caller's first `limit` waiting stages, and how many of the caller's stages wait and run.

        The answer may be about a second old. Positions count the stages of all projects.
        """
        with self._database.read() as session:
            queue = self._places.queue(session)
            running = count_running(session) if queue is None else queue.running
        places = [
            place for place in ({} if queue is None else queue.places).values() if _is_visible(place.claim.project)
        ]
        return QueueView(
            max_concurrent_stages=self._max_concurrent_stages,
            running_stages=sum(count for project, count in running.items() if _is_visible(project)),
            waiting_stages=len(places),
            waiting=[
                QueuedStage(
                    position=place.position,
                    reason=place.reason,
                    run_id=place.claim.run_id,
                    run_name=place.claim.run_name,
                    project=place.claim.project,
                    priority=place.claim.priority,
                    generation=place.claim.generation,
                    stage=place.claim.stage,
                    ready_at=as_time(place.claim.ready_at),
                )
                for place in places[:limit]
            ],
        )

    def _view(self, session: Session, name: str) -> ProjectView:
        row = get_row(session, ProjectRow, name, "project", name)
        return self._views(session, [row])[0]

    def _views(self, session: Session, rows: list[ProjectRow]) -> list[ProjectView]:
        budgets = budgets_of(session, rows, self._clock())
        return [
            ProjectView(
                name=row.name,
                quota_device_hours=row.quota_device_hours,
                spent_device_hours=budgets[row.name].spent_device_hours,
                exhausted=budgets[row.name].exhausted,
            )
            for row in rows
        ]


def _is_visible(project: str) -> bool:
    projects = visible_projects()
    return projects is None or project in projects
