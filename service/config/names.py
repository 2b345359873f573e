"""The names that people give to datasets, runs and projects."""

from typing import Annotated

from pydantic import StringConstraints

# A readable name without control characters: PostgreSQL stores no NUL, and a terminal would obey the others.
MAX_NAME_LENGTH = 120
_FIT = r"[^\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]"
_READABLE = rf"^{_FIT}*[^\s\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]{_FIT}*$"
Name = Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME_LENGTH, pattern=_READABLE)]

# A project's name is part of paths.
ProjectName = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
DEFAULT_PROJECT = "default"

# No id of the service is longer than this. Whether an id exists is checked where it is used.
Reference = Annotated[str, StringConstraints(min_length=1, max_length=100)]
ClassName = Annotated[str, StringConstraints(min_length=1, max_length=1000)]


def name_beside(what: str, name: str) -> str:
    """Returns a name for a study next to a run. It cuts off the end of a long name."""
    return f"{what} {name}"[:MAX_NAME_LENGTH].rstrip()
