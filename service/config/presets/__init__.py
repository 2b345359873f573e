"""Recipes by name, and which one to take."""

from service.config.presets.by_name import (
    IMAGENET_IMAGES,
    PRESET_NAMES,
    Preset,
    PresetName,
    preset,
    with_overrides,
)

__all__ = ["IMAGENET_IMAGES", "PRESET_NAMES", "Preset", "PresetName", "preset", "with_overrides"]
