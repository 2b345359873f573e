"""The registration of a model that was trained elsewhere: what is said of it, and what checking it has found."""

from typing import Annotated, Literal

from pydantic import Field

from workers.specs.base import Frozen
from workers.specs.initialization import Deviation, Interpolation, Mean
from workers.specs.text import ModelName

MOST_CHECKED_IMAGES = 10_000
MOST_CLASSES = 100_000
ImportedClass = Annotated[str, Field(min_length=1, max_length=1000)]


class ImportedInput(Frozen):
    """How pictures are prepared for a model. What is null is taken from the weights' own configuration."""

    image_size: int | None = Field(default=None, ge=8, le=2048, description="Height and width in pixels.")
    mean: tuple[Mean, Mean, Mean] | None = None
    std: tuple[Deviation, Deviation, Deviation] | None = None
    crop: Literal["center", "none"] | None = Field(
        default=None,
        description="center: the short side is resized and the center cropped; none: the whole picture is resized.",
    )
    crop_fraction: float | None = Field(
        default=None, gt=0, le=1, description="The share of the resized picture that a center crop keeps."
    )
    interpolation: Interpolation | None = None


class RegistrationSettings(Frozen):
    """Where the weights are, and what they do not say themselves."""

    uri: str = Field(
        min_length=1,
        max_length=4096,
        description="A folder as timm writes it (config.json with model.safetensors or pytorch_model.bin), or a file "
        "whose name ends in .safetensors, .pth, .pt, .pth.tar or .bin. It may lie where datasets may.",
    )
    model: ModelName | None = Field(
        default=None, description="The timm model name. Null: what the config.json beside the weights says."
    )
    classes: tuple[ImportedClass, ...] | None = Field(
        default=None,
        min_length=2,
        max_length=MOST_CLASSES,
        description="The names of the classes in the order of the model's outputs. Null: the label_names of the "
        "config.json beside the weights, or the lines of a classes.txt there.",
    )
    input: ImportedInput = ImportedInput()
    images: int = Field(default=64, ge=1, le=MOST_CHECKED_IMAGES)
    """How many images the check labels."""


class ModelCheck(Frozen):
    """What a model did with a few images before it was registered."""

    images: int
    """Images that it labeled."""
    bad_images: int
    """Images that could not be read."""
    top1: float | None
    """Its accuracy on them in 0..1; None if they have no labels, or labels that are none of its classes."""
    classes_named: int
    """How many classes it named at least once."""
    warnings: tuple[str, ...] = ()
    """What may be wrong, as sentences."""
