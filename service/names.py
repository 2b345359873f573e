"""The names that people give to datasets, runs and projects."""

from typing import Annotated

from pydantic import StringConstraints

# No control characters: PostgreSQL stores no NUL, and a terminal would obey the others.
Name = Annotated[str, StringConstraints(min_length=1, max_length=120, pattern=r"^[^\x00-\x1f\x7f]+$")]

# It is part of paths.
ProjectName = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
DEFAULT_PROJECT = "default"
