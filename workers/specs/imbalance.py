"""How training and selection deal with classes of which there are few images."""

from typing import Annotated, Literal

from pydantic import Field

from workers.specs.base import Frozen


class EffectiveNumber(Frozen):
    """Class weights by the effective number of images (Cui et al. 2019, "Class-balanced loss", section 3).

    A class of n images has the weight (1 - beta) / (1 - beta^n). The more a class's images overlap, the lower its beta
    should be: towards 0 every class weighs alike, towards 1 the weights become those of inverse frequency.
    """

    effective_number: Annotated[float, Field(gt=0, lt=1)] = Field(
        description="The paper's beta; it tries 0.9, 0.99, 0.999 and 0.9999."
    )


ClassWeights = Literal["none", "inverse_frequency"] | EffectiveNumber
