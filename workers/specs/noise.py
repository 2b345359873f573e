"""The noise on a student in training: RandAugment, dropout and drop path (Xie et al., section 3.1)."""

from typing import Literal

from pydantic import Field, model_validator

from workers.specs.base import Frozen, field_error

RandAugmentScale = Literal["authors", "torchvision", "timm"]
HIGHEST_MAGNITUDE: dict[RandAugmentScale, int] = {"authors": 100, "torchvision": 30, "timm": 10}
"""The highest m of each scale: torchvision's last bin, the level at which timm clips, and a bound for a scale that has
none."""


class RandAugment(Frozen):
    """RandAugment (Cubuk et al. 2019; Xie et al., section 3.1). What m means depends on the scale.

    - `authors`: the code of Noisy Student (google-research/noisystudent, randaugment.py). Its level of 10 is no
      maximum: at m = 27 a picture is rotated by 81 degrees.
    - `torchvision`: torchvision.transforms.RandAugment with 31 bins; m = 27 rotates by 27 degrees.
    - `timm`: timm's `rand-mM-nN-mstdS-pP-inc1`, whose m is clipped at 10, where it rotates by 30 degrees.
    """

    scale: RandAugmentScale = Field(
        default="torchvision", description="Where m is defined. Without it, m means what it meant before there was one."
    )
    n: int = Field(default=2, ge=1, le=8, description="Operations per image.")
    m: int = Field(
        default=9,
        ge=0,
        le=HIGHEST_MAGNITUDE["authors"],
        description="Magnitude: at most 30 on torchvision's scale and 10 on timm's. The authors take 6 to 27.",
    )
    m_std: float = Field(
        default=0.0,
        ge=0,
        le=100,
        description="Standard deviation of the normal distribution around m from which each operation's magnitude is "
        "drawn, as timm's mstd. 0: always m.",
    )
    probability: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="Probability that a drawn operation is applied. The authors and torchvision always apply it; "
        "timm's default is 0.5.",
    )

    @model_validator(mode="after")
    def _m_lies_on_its_scale(self) -> "RandAugment":
        highest = HIGHEST_MAGNITUDE[self.scale]
        if self.m > highest:
            raise field_error("m", f"must be at most {highest} on the scale {self.scale}; it is {self.m}")
        return self


class Noise(Frozen):
    """The noise on a student in training. A teacher labels without noise."""

    rand_augment: RandAugment | None = RandAugment(scale="torchvision", n=2, m=27)
    dropout: float = Field(default=0.5, ge=0, lt=1, description="Dropout rate on the classifier's input.")
    drop_path: float = Field(
        default=0.2,
        ge=0,
        lt=1,
        description="Stochastic depth: drop rate of the last layer, falling linearly to 0 at the first.",
    )
