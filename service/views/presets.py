"""What the API says of presets."""

from pydantic import Field

from service.config.presets import Preset
from service.config.presets.suggested import SuggestedPreset
from service.views.base import View


class Presets(View):
    """All presets, for one size of the labeled set."""

    labeled_images: int = Field(description="The size of the labeled set that the numbers of steps are for.")
    presets: list[Preset]
    suggested: SuggestedPreset | None = Field(
        default=None, description="The preset for pictures of the given size on this service's cluster; else null."
    )
