"""What a prediction found: how many images, how sure the model was, and how often it was right if that is known."""

from pydantic import Field

from workers.specs.base import Frozen
from workers.specs.hygiene import BrokenKind


class KnownTruth(Frozen):
    """The predictions for images of a dataset with labels, compared by class name. Broken images do not count."""

    images: int = Field(default=0, ge=0, description="Images whose label is one of the model's classes.")
    top1_right: int = Field(default=0, ge=0, description="Of these, how many have it as their predicted label.")
    top5_right: int = Field(default=0, ge=0, description="Of these, how many have it among the five most probable.")
    of_other_classes: int = Field(
        default=0, ge=0, description="Images whose label is no class of the model. They count in no accuracy."
    )

    def __add__(self, other: "KnownTruth") -> "KnownTruth":
        return KnownTruth(**{name: getattr(self, name) + getattr(other, name) for name in KnownTruth.model_fields})


class PredictionOutcome(Frozen):
    """All parts of a prediction together."""

    images: int = Field(ge=0)
    predicted: int = Field(ge=0, description="Images that are not broken.")
    bad_images: int = Field(ge=0, description="Broken images. Each is a row without a label, with the reason.")
    bad_by_kind: dict[BrokenKind, int]
    shards: int = Field(ge=0)
    shards_resumed: int = Field(ge=0, description="Shards that an earlier attempt had predicted.")
    mean_confidence: float = Field(ge=0, le=1, description="Over the images that are not broken.")
    images_per_second: float = Field(
        ge=0, description="The images of the shards that this attempt predicted, divided by its work time."
    )
    truth: KnownTruth | None = Field(description="Null for a dataset without labels.")

    @property
    def top1(self) -> float | None:
        """The share of the images with known truth that are predicted right; None without such images."""
        return self.truth.top1_right / self.truth.images if self.truth is not None and self.truth.images else None

    @property
    def top5(self) -> float | None:
        """The share whose truth is among the five most probable classes; None without such images."""
        return self.truth.top5_right / self.truth.images if self.truth is not None and self.truth.images else None


class PredictedBy(Frozen):
    """What made the predictions of a file. Files that differ in it do not belong together."""

    model: str
    """The model's folder, or the digest of its files."""
    dataset: str
    """The dataset's manifest, or the digest of its files."""
    top_k: int | None
    """How many classes are kept of each image; None: all."""
