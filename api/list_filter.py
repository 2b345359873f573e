"""The query parameters with which a listing returns only some of its rows."""

from datetime import datetime
from typing import Annotated

from fastapi import Depends, Query

from service.config.names import ProjectName
from service.lifecycle.list_filter import ListFilter
from service.lifecycle.states import RunState

_State = Annotated[
    list[RunState],
    Query(
        max_length=len(RunState),
        description="Only those in this state; repeat it for several states.",
        examples=[["running", "paused"]],
    ),
]
_Project = Annotated[ProjectName | None, Query(description="Only those of this project.", examples=["vision"])]
_Since = Annotated[
    datetime | None,
    Query(
        description="Only those created at this time or later: RFC 3339, in UTC without a time zone.",
        examples=["2026-11-28T09:00:00Z"],
    ),
]


def _of_plain_rows(project: _Project = None, since: _Since = None) -> ListFilter:
    return ListFilter(project=project, since=since)


def _of_runs(state: _State = [], project: _Project = None, since: _Since = None) -> ListFilter:  # noqa: B006
    return ListFilter(states=frozenset(state), project=project, since=since)


Filter = Annotated[ListFilter, Depends(_of_runs)]
"""Of what has a state: runs, searches, ablations and plans."""
PlainFilter = Annotated[ListFilter, Depends(_of_plain_rows)]
"""Of datasets and models."""
