"""Finds the project of what a request changes, from the request's path or from the path of what it created."""

import re
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from service.store.schema.caller_tables import ApiKeyRow
from service.store.schema.tables import DatasetRow, ModelRow, RunRow

_PART = re.compile(r"/(?P<kind>[a-z]+)/(?P<id>[A-Za-z0-9][A-Za-z0-9._-]{0,99})(?=/|$)")


def project_of_path(session: Session, path: str | None) -> str | None:
    """Returns the project of the run, dataset, model, key or project that the path names, or None if it names none."""
    found = _PART.match(path or "")
    if found is None:
        return None
    if found["kind"] == "projects":
        return found["id"]
    statement = _project_of(found["kind"], found["id"])
    project: str | None = None if statement is None else session.execute(statement).scalar_one_or_none()
    return project


def _project_of(kind: str, name: str) -> Select[Any] | None:
    if kind in ("runs", "searches", "ablations", "plans"):
        return select(RunRow.project).where(RunRow.id == name)
    if kind == "models":
        return select(RunRow.project).join(ModelRow, ModelRow.run_id == RunRow.id).where(ModelRow.id == name)
    if kind == "datasets":
        return select(DatasetRow.project).where(DatasetRow.id == name)
    if kind == "keys":
        return select(ApiKeyRow.project).where(ApiKeyRow.id == name)
    return None
