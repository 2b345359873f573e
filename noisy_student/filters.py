"""The conditions of a listing as query parameters."""

from collections.abc import Sequence
from datetime import UTC, datetime

Query = dict[str, str | int | Sequence[str] | None]
State = str | Sequence[str] | None
"""One state or several. RunState's members are strings, too."""
Since = datetime | str | None
"""A moment, or one in ISO 8601. Without a time zone it is in that of this machine, or, in text, in UTC."""


def conditions(project: str | None, since: Since, state: State = None) -> Query:
    """The query parameters of the conditions; None for those that are not set."""
    states = [state] if isinstance(state, str) else [*(state or ())]
    if isinstance(since, datetime):
        since = since.astimezone(UTC).isoformat()
    return {"state": [str(each) for each in states] or None, "project": project, "since": since}
