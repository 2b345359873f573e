"""Where a training begins: the weights that a model has before its first step, and what was taken of them."""

from typing import Annotated, Literal, Self, cast, get_args

from pydantic import Field

from workers.specs.base import Frozen

Interpolation = Literal["bicubic", "bilinear"]
Mean = Annotated[float, Field(ge=-1000, le=1000)]
Deviation = Annotated[float, Field(gt=0, le=1000)]

InputField = Literal["image_size", "mean", "std", "crop", "test_crop_fraction", "interpolation"]
INPUT_FIELDS: tuple[InputField, ...] = get_args(InputField)
"""The fields of a recipe that say how the model sees a picture."""

INITIAL_FOLDER = "initial"
"""The folder in a stage's folder with the weights that its driver has made ready."""
TENSORS_FILE = "taken.safetensors"
REPORT_FILE = "report.json"

HUB_PREFIX = "hf-hub:"
WEIGHT_SUFFIXES = (".safetensors", ".pth", ".pt", ".pth.tar", ".bin")
"""How the names of files with weights end; all but the first are checkpoints of torch."""


class RandomInit(Frozen):
    """Fresh weights. In the paper, students that began so were better than those that began with their teacher's
    (Xie et al., appendix A.2)."""

    kind: Literal["random"] = "random"


class _GivenInit(Frozen):
    """Weights that there are already."""

    follow: tuple[InputField, ...] | None = Field(
        default=None,
        max_length=len(INPUT_FIELDS),
        description="The fields of the recipe that are taken from the weights' own configuration. Null: those that the "
        "recipe does not set itself; the stored recipe names them.",
    )

    def following(self, fields: tuple[InputField, ...]) -> Self:
        """The same weights, with the fields that follow them. They do not count as set by the user."""
        set_by_user = self.model_fields_set - {"follow"}
        return cast(Self, type(self).model_construct(set_by_user, **{**dict(self), "follow": fields}))


class TeacherInit(_GivenInit):
    """A student's teacher's weights; both must be the same timm model."""

    kind: Literal["teacher"]


class PretrainedInit(_GivenInit):
    """timm's weights for the model, or weights on the Hugging Face hub in timm's form, from the hub or its cache."""

    kind: Literal["pretrained"]
    name: str | None = Field(
        default=None,
        min_length=1,
        max_length=300,
        pattern=r"^[A-Za-z0-9_.\-/:@]+$",
        description="Which weights: a timm name with its tag, such as resnet50.a1_in1k, or hf-hub:OWNER/NAME, with "
        "@REVISION if you like. Null: timm's first choice for the model.",
    )


class FileInit(_GivenInit):
    """The weights in a file: safetensors, or a checkpoint of torch that holds nothing but tensors and plain values."""

    kind: Literal["file"]
    uri: str = Field(
        min_length=1,
        max_length=4096,
        description="A file whose name ends in .safetensors, .pth, .pt, .pth.tar or .bin; it may lie where datasets "
        "may. A config.json as timm writes it, or a model.json of this service, beside the file is its configuration.",
    )


class ModelInit(_GivenInit):
    """The weights of a model that this service has trained."""

    kind: Literal["model"]
    id: str = Field(min_length=1, max_length=200, description="The model's id (GET /models).")


Init = Annotated[RandomInit | TeacherInit | PretrainedInit | FileInit | ModelInit, Field(discriminator="kind")]
InitKind = Literal["random", "teacher", "pretrained", "file", "model"]


def fits_any_model(init: "RandomInit | _GivenInit") -> bool:
    """Whether other models than the one that it was written for may begin so: each with weights of its own."""
    return isinstance(init, RandomInit) or (isinstance(init, PretrainedInit) and init.name is None)


class InputConfiguration(Frozen):
    """How pictures were prepared for a model's weights: the values of a recipe's fields of the same names."""

    image_size: int = Field(ge=8, le=2048)
    mean: tuple[Mean, Mean, Mean]
    std: tuple[Deviation, Deviation, Deviation]
    crop: Literal["random_resized", "none"]
    test_crop_fraction: float = Field(gt=0, le=1)
    interpolation: Interpolation


class InitialWeights(Frozen):
    """The weights that a training began with, as the model's card and its lineage name them."""

    kind: InitKind
    source: str
    """The model's id or folder, the file's URI, or the name at timm or on the hub."""
    digest: str | None
    """SHA-256 of the file of weights, in hexadecimal digits; None if it was in no file that could be found again."""
    tensors_taken: int
    tensors_left: int
    """Tensors of the source that the model has no use for, such as a classifier of other classes."""
    tensors_new: int
    """Tensors of the model that the source does not have: they are made anew, at random."""


class InitialWeightsReport(Frozen):
    """What the driver of a stage found in the source of the weights before the training."""

    weights: InitialWeights
    configuration: InputConfiguration
    """The weights' own."""
    followed: tuple[InputField, ...]
    """The fields of the recipe that were taken from it."""
    taken: tuple[str, ...]
    left: tuple[str, ...]
    new: tuple[str, ...]
    """The names of the tensors."""


class PreparedWeights(Frozen):
    """Weights that a stage's driver has made ready, so that its workers need neither their source nor a network."""

    uri: str
    """Folder with the tensors that were taken, in the shapes of the model, and with the report."""
    weights: InitialWeights
