"""How a teacher looks at the images that it labels: once, or several times with the mean as its answer."""

from typing import Literal

from pydantic import Field

from workers.specs.base import Frozen


class Views(Frozen):
    """The clean views of an image whose predictions make one pseudo label: test-time augmentation.

    A label is the mean of the probabilities of all views, as in Krizhevsky et al. 2012, section 4.1, whose ten views
    are five crops and their mirror images. Xie et al. 2019 label a single view, the centre crop.
    """

    flip: bool = Field(
        default=False,
        description="Label the mirror image of each view as well. Needs teachers that train with horizontal_flip.",
    )
    crops: Literal[1, 5] = Field(
        default=1,
        description="1: the centre crop. 5: the four corners too, of the picture resized as for the centre crop. Needs "
        "teachers with a random_resized crop and a test_crop_fraction below 1.",
    )

    @property
    def count(self) -> int:
        """Views of each image."""
        return self.crops * (1 + self.flip)


class LabelingSettings(Frozen):
    """How the teachers of a run label."""

    views: Views = Field(
        default=Views(), description="Test-time augmentation: the mean of the probabilities of several views."
    )
