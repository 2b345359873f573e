"""Models that there are already: one that teaches a run, and one that was trained elsewhere."""

from typing import Self

from pydantic import Field, model_validator

from service.config.names import DEFAULT_PROJECT, ClassName, Name, ProjectName, Reference
from workers.specs.base import Frozen, field_error
from workers.specs.registration import MOST_CHECKED_IMAGES, MOST_CLASSES, ImportedInput, RegistrationSettings
from workers.specs.text import ModelName


class GivenTeacher(Frozen):
    """A model that there is already, as the first teacher."""

    model: Reference = Field(
        description="The id of a model (GET /models) whose classes are those of the labeled dataset, in their order."
    )
    architecture: ModelName | None = Field(
        default=None, description="The model's timm name. The service fills it in; the stored run has it."
    )


class CheckRequest(Frozen):
    """The images that a model labels before it is registered."""

    dataset: Reference = Field(description="A dataset of any role. With labels, the model's accuracy is measured.")
    images: int = Field(default=64, ge=1, le=MOST_CHECKED_IMAGES, description="How many of them, from all shards.")


_SETTINGS = RegistrationSettings.model_fields


class RegistrationRequest(Frozen):
    """The body of POST /models: a timm model that was trained elsewhere."""

    name: Name
    project: ProjectName = Field(
        default=DEFAULT_PROJECT,
        description="The project that owns the model. Default: the project of the caller's key.",
    )
    uri: str = Field(min_length=1, max_length=4096, description=_SETTINGS["uri"].description)
    model: ModelName | None = Field(default=None, description=_SETTINGS["model"].description)
    classes: tuple[ClassName, ...] | None = Field(
        default=None, min_length=2, max_length=MOST_CLASSES, description=_SETTINGS["classes"].description
    )
    input: ImportedInput = Field(
        default=ImportedInput(), description="How pictures are prepared, where the weights do not say it."
    )
    check: CheckRequest

    @model_validator(mode="after")
    def _each_class_has_a_name_of_its_own(self) -> Self:
        seen: set[str] = set()
        for index, name in enumerate(self.classes or ()):
            if name in seen:
                raise field_error(f"classes.{index}", f"{name!r} is the name of two classes")
            seen.add(name)
        return self

    @property
    def settings(self) -> RegistrationSettings:
        """What the stage is told."""
        return RegistrationSettings(
            uri=self.uri, model=self.model, classes=self.classes, input=self.input, images=self.check.images
        )
