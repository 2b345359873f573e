"""The names that people give to datasets, runs and projects."""

from typing import Annotated

from pydantic import StringConstraints

# No control characters: PostgreSQL stores no NUL, and a terminal would obey the others.
MAX_NAME_LENGTH = 120
Name = Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME_LENGTH, pattern=r"^[^\x00-\x1f\x7f]+$")]

# It is part of paths.
ProjectName = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
DEFAULT_PROJECT = "default"


def derived_name(what: str, name: str) -> str:
    """A name for what is made beside a run: the end of a long one is cut off."""
    return f"{what} {name}"[:MAX_NAME_LENGTH].rstrip()
