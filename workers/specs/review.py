"""The review of pseudo labels: what people say of them, in which order they look, and what a selection made of it."""

from typing import Literal, Self

from pydantic import ConfigDict, Field, model_validator

from workers.specs.base import Frozen, field_error

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


class MarkRequest(Frozen):
    """The body of PUT /runs/{id}/generations/{n}/labels/{shard}/{row}/mark."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True, serialize_by_alias=True)

    verdict: Verdict = Field(
        description="right: the label is true, and the next selection keeps the image. wrong: it is not, and no later "
        "student learns it. class: the image is of the class that `class` names."
    )
    class_name: str | None = Field(
        default=None,
        alias="class",
        min_length=1,
        max_length=1000,
        description="The image's class, one of the run's. Only with the verdict class.",
    )

    @model_validator(mode="after")
    def _names_a_class_with_the_verdict_class(self) -> Self:
        if (self.verdict == "class") != (self.class_name is not None):
            is_missing = self.class_name is None
            raise field_error("class", "name the image's class" if is_missing else "only the verdict class has one")
        return self


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
