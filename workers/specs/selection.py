"""Which pseudo labels a student learns from, and in what form the selection is written."""

from typing import Literal, Self

from pydantic import Field, model_validator

from workers.specs.base import Frozen, field_error


class Materialization(Frozen):
    """Writes the selected images with their soft labels to training shards, repeated and shuffled across the pool."""

    rows_per_shard: int = Field(
        default=5000,
        ge=1,
        le=1_000_000_000,
        description="Average rows per training shard. An actor holds the images of four times as many rows.",
    )


class SelectionSettings(Frozen):
    """Which pseudo labels a student learns from (Xie et al., section 3.1, "data filtering and balancing")."""

    min_confidence: float = Field(default=0.3, ge=0, le=1)
    thresholds: Literal["fixed", "flexmatch", "freematch"] = Field(
        default="fixed",
        description="fixed: min_confidence is the threshold of every class. flexmatch: it is that of the class with "
        "the most confident images, and lower for the others (Zhang et al. 2021, sections 3.1 to 3.3). freematch: the "
        "thresholds follow from the teacher's mean confidence and mean prediction, and min_confidence is the lowest "
        "possible one (Wang et al. 2023, section 4.1).",
    )
    distribution_alignment: Literal["none", "labeled", "uniform"] = Field(
        default="none",
        description="Multiply each pseudo label by the share that each class should have, divided by its mean "
        "prediction (Berthelot et al. 2020, ReMixMatch, section 3.1). labeled: the shares among the labeled images; "
        "uniform: the same for every class. Thresholds, balancing and the student's targets use the aligned labels.",
    )
    max_per_class: int | None = Field(
        default=None, ge=1, le=2**31 - 1, description="Keep this many images per class, the most confident."
    )
    share_per_class: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="Of each class's images that pass min_confidence, keep this share, the most confident: a threshold "
        "for each class (Zou et al. 2018, class-balanced self-training).",
    )
    fill_up: bool = Field(
        default=True,
        description="Fill smaller classes by random duplication, up to max_per_class or the largest class.",
    )
    max_copies_per_image: int | None = Field(
        default=10,
        ge=1,
        le=2**31 - 1,
        description="fill_up repeats no image more often; null: as often as it takes, as in the paper.",
    )
    duplicates: Literal["keep", "drop"] = Field(
        default="keep",
        description="Images that occur more than once in the pool, byte for byte. drop: keep only the first.",
    )
    near_duplicates: Literal["auto", "report", "drop"] = Field(
        default="auto",
        description="Images that look like an evaluation image. The label stage lists them; drop also excludes them. "
        "auto: drop where the task is photographs, that is where at most 2 % of the evaluation images look like "
        "another one of them.",
    )
    near_duplicate_distance: int = Field(
        default=4,
        ge=0,
        le=10,
        description="Bits of 64 in which the perceptual hashes of near duplicates may differ. 4: the same picture, "
        "re-encoded or resized. 0 turns the search off.",
    )
    materialize: Materialization | None = Field(
        default=None,
        description="Write the selected images to training shards, fully shuffled; the student reads these instead of "
        "rows of the pool. Takes as much storage as the selected images, and twice that while it works.",
    )

    @model_validator(mode="after")
    def _thresholds_make_sense_together(self) -> Self:
        if self.thresholds == "fixed":
            return self
        if self.share_per_class != 1:
            raise field_error(
                "share_per_class",
                f"is a threshold for each class of its own: leave it at 1 with {self.thresholds} thresholds",
            )
        if self.thresholds == "flexmatch" and self.min_confidence == 0:
            raise field_error(
                "min_confidence", "must be above 0 with flexmatch thresholds: they are this number times a share"
            )
        if self.thresholds == "freematch" and self.min_confidence == 1:
            raise field_error(
                "min_confidence", "must be below 1 with freematch thresholds: it is the lowest that they may be"
            )
        return self
