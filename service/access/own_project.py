"""Checks for callers who are limited to projects: they may create things only in their own projects."""

from typing import Protocol, Self, TypeVar

from service.errors import Forbidden
from service.store.visibility import visible_projects


class _InProject(Protocol):
    @property
    def project(self) -> str: ...
    @property
    def model_fields_set(self) -> set[str]: ...
    def model_copy(self, *, update: dict[str, str]) -> Self: ...


Request = TypeVar("Request", bound=_InProject)


def in_own_project(request: Request) -> Request:
    """Returns the request with one of the caller's projects.

    If the request names no project and the caller has exactly one, that one is filled in. Raises Forbidden for a
    project that is not the caller's.
    """
    projects = visible_projects()
    if projects is None:
        return request
    if "project" not in request.model_fields_set and len(projects) == 1:
        return request.model_copy(update={"project": next(iter(projects))})
    if request.project not in projects:
        yours = " or ".join(map(repr, sorted(projects))) or "none"
        raise Forbidden(f"{request.project!r} is not one of your projects: project must be {yours}")
    return request


def for_all_projects(what: str) -> None:
    """Raises Forbidden, with `what` as the reason, if the caller is limited to projects."""
    if visible_projects() is not None:
        raise Forbidden(f"{what}: that takes a caller who may see every project")
