"""The card of a trained model, its id and the names of its files."""

import re
from typing import Literal

from pydantic import Field

from workers.specs.base import Frozen
from workers.specs.hygiene import JudgedOn
from workers.specs.initialization import InitialWeights, Interpolation
from workers.specs.noise import Noise


class ModelCard(Frozen):
    """model.json: how model.safetensors is to be used, and where it comes from. timm's config.json follows from it."""

    model: str
    classes: tuple[str, ...]
    image_size: int
    """Height and width in pixels at which the model must be used."""
    train_image_size: int | None = None
    """Height and width in pixels before the resolution step; None if there was no such step."""
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    crop: Literal["center", "none"]
    """How to bring a clean picture to image_size: resize the short side and crop the center, or resize all of it."""
    interpolation: Interpolation = "bicubic"
    """The filter that resizes pictures."""
    crop_fraction: float = 0.875
    """`center` only: the share of the resized picture that is kept. The default is torchvision's 224 of 256."""
    model_options: dict[str, int] = Field(default_factory=dict)
    """Additional arguments of timm.create_model, for example img_size for vision transformers."""
    parameters: int
    run_id: str
    generation: int
    validation_top1: float | None
    """Accuracy on validation images in 0..1, or of an imported model on the images of its check; None: not measured."""
    noise: Noise | None = None
    """The noise that the model was trained with, before a resolution step; None in cards of before it was recorded."""
    teachers: tuple[str, ...] = ()
    """The models whose labels it learned from, its own teacher first: a label is the mean of what they say. Empty for
    a first teacher, and in cards of before it was recorded."""
    initial_weights: InitialWeights | None = None
    """The weights that training began with, or that were imported; None: random ones, or nobody recorded it."""
    imported_from: str | None = None
    """The URI of the file of weights of a model that was trained elsewhere; None for a model that was trained here."""
    gate_on: JudgedOn | None = None
    """The images on which the run's gate chooses the students that teach; None without a gate. If they are the test
    images, the test accuracy of the run's models is optimistic."""

    @property
    def preparation(self) -> tuple[int, str, Interpolation, float]:
        """All that makes the clean pixels of a picture, before they are normalized. Models that are equal in it see
        the same pixels (workers/data/images/clean.py)."""
        return self.image_size, self.crop, self.interpolation, self.crop_fraction


WEIGHTS_FILE = "model.safetensors"
MODEL_CARD_FILE = "model.json"


def model_id(run_id: str, generation: int) -> str:
    """The id of a generation, which is also the id of the model that it trains."""
    return f"{run_id}-g{generation}"


def place_of_model(identity: str) -> tuple[str, int] | None:
    """The run and the generation that the id of a model names; None if it is no such id."""
    found = re.fullmatch(r"(.+)-g([0-9]{1,9})", identity)
    return None if found is None else (found[1], int(found[2]))
