"""Settings as an operator may see them: without secrets. Pure."""

import re
from collections.abc import Iterator
from enum import Enum
from typing import Any, NamedTuple

from pydantic import BaseModel, SecretStr

_HIDDEN = "***"
_USER = re.compile(r"(?<=://)[^/?#@\s]+@")
"""The user and the password of an address. Everything before the @ goes, because a token may stand there alone."""
_PARAMETER = re.compile(
    r"(?i)([?&;][^=&;?#]*(?:pass|pwd|secret|token|key|sig|cred|auth)[^=&;?#]*=)[^&;#\s]*",
)


class ShownSetting(NamedTuple):
    """One setting. `name` is that of its environment variable, without the prefix."""

    name: str
    value: Any
    is_default: bool


def shown_settings(settings: BaseModel, defaults: BaseModel | None = None, group: str = "") -> Iterator[ShownSetting]:
    """Yields each setting with its value as JSON has it. Secrets are hidden, also those within addresses."""
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        default = None if defaults is None else getattr(defaults, name, None)
        full = f"{group}{name}".upper()
        if isinstance(value, BaseModel) and not group:
            yield from shown_settings(value, default if isinstance(default, BaseModel) else None, f"{name}__")
        else:
            # Some values that nobody has set follow from others, such as the database's place from `home`.
            is_default = value == default or name not in settings.model_fields_set
            yield ShownSetting(full, _shown(value), is_default)


def without_secrets(text: str) -> str:
    """The text without users, passwords and tokens of addresses in it."""
    return _PARAMETER.sub(rf"\1{_HIDDEN}", _USER.sub(f"{_HIDDEN}@", text))


def _shown(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, SecretStr):
        return _HIDDEN
    if isinstance(value, BaseModel):
        return {name: _shown(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, dict):
        return {without_secrets(str(name)): _shown(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        inner = [_shown(each) for each in value]
        return inner if isinstance(value, list | tuple) else sorted(inner, key=str)
    return without_secrets(str(value.value if isinstance(value, Enum) else value))
