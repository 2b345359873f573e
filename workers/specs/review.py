"""The review of pseudo labels: what people say of them, in which order they look, and what a selection made of it."""

from typing import Literal

from pydantic import Field

from workers.specs.base import Frozen

MARKS_FILE = "marks.parquet"
"""The file in a select folder with the marks that were made until the stage was submitted."""
MARKED_FOLDER = "marked"
"""The folder below a select folder with a file for each shard that has marked rows."""
REVIEW_FOLDER = "review"
"""The folder below a select folder with a list of pseudo labels worth a look for each `ReviewOrder`."""
MOST_MARKS = 100_000
"""The most marks of a run. Their file takes 2 MB."""

Verdict = Literal["right", "wrong", "class"]
"""right: the pseudo label is true. wrong: it is not. class: another class is."""

ReviewOrder = Literal["uncertain", "changed", "disagrees"]
"""uncertain: the least confident labels. changed: those that differ from the previous generation's. disagrees: those to
which the generation's own student later gives another label."""


class EarlierLabels(Frozen):
    """The labels and the selection of the generation before, for review."""

    labels_uri: str
    selection_uri: str


class MarksApplied(Frozen):
    """What a selection made of its run's marks. Rows are counted: a marked image may be in the pool more than once."""

    marks: int = Field(ge=0)
    """The marks of the run when the stage was submitted."""
    given: int = Field(ge=0)
    """Rows whose label a person gave. Those that are dropped as evaluation images or duplicates do not count."""
    changed: int = Field(ge=0)
    """Those of the given rows to which the teacher gives another label."""
    wrong: int = Field(ge=0)
    """Rows that are left out because a person marked the label that they have as wrong."""
    not_found: int = Field(ge=0)
    """Marks whose image is not in the pool."""
