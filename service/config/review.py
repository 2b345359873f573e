"""The request for a mark."""

from typing import Self

from pydantic import ConfigDict, Field, model_validator

from workers.specs.base import Frozen, field_error
from workers.specs.review import Verdict


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
