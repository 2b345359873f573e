"""The name that a person gives to a dataset or a run."""

from typing import Annotated

from pydantic import StringConstraints

# No control characters: PostgreSQL stores no NUL, and a terminal would obey the others.
Name = Annotated[str, StringConstraints(min_length=1, max_length=120, pattern=r"^[^\x00-\x1f\x7f]+$")]
