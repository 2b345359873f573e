"""Settings for tests. Values have the names of environment variables, such as `ray__jobs_url` for one in a group."""

from collections.abc import Mapping
from typing import Any

from service.settings import Settings


def settings_of(**values: object) -> Settings:
    """Settings with these values, and defaults for all others."""
    return Settings(**_nested(values))


def changed(settings: Settings, **values: object) -> Settings:
    """A copy of the settings with these values. Derived values are not computed again."""
    for name, value in values.items():
        group, _, field = name.partition("__")
        if field:
            value = getattr(settings, group).model_copy(update={field: value})
        settings = settings.model_copy(update={group: value})
    return settings


def changed_anew(settings: Settings, **values: object) -> Settings:
    """A copy of the settings with these values. Derived values are computed again, as at the start of a process."""
    kept = settings.model_dump(exclude={"ray": {"dashboard_url"}})
    for group, value in _nested(values).items():
        kept[group] = {**kept[group], **value} if isinstance(value, Mapping) else value
    return Settings(**kept)


def _nested(values: Mapping[str, object]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    groups: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        group, _, field = name.partition("__")
        if field:
            nested[group] = groups.setdefault(group, {})
            groups[group][field] = value
        else:
            nested[group] = value
    return nested
