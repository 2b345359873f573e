"""Which environment variables the service reads."""

from service.config.settings.names import PREFIX
from service.settings import setting_names


def is_setting(variable: str) -> bool:
    """Whether a field of Settings, or of a group of it, has that name."""
    return variable.removeprefix(PREFIX) in set(setting_names())
