"""Reads durations such as `2h` and `1h30m`, and moments such as `2d` ago or `2026-11-28T09:00`. Pure."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import typer

Value = TypeVar("Value")
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|m|h|d|w)")
_LONGEST_SECONDS = 100 * 365 * 86400


def seconds_of(text: str) -> float:
    """The seconds of `45s`, `30m`, `2h`, `1.5d`, `1w` or `1h30m`. Raises ValueError for anything else."""
    written = text.strip().lower()
    if not re.fullmatch(rf"({_PART.pattern}\s*)+", written):
        raise ValueError(f"{text!r} is no duration: write 45s, 30m, 2h, 1h30m or 1d")
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(written))
    if not 0 < seconds <= _LONGEST_SECONDS:
        raise ValueError(f"{text!r} is no time between 0 and 100 years")
    return seconds


def moment_of(text: str, now: datetime | None = None) -> datetime:
    """The moment that `text` names: a duration before now, or an ISO 8601 date or time, in this machine's time zone
    unless it has one. Raises ValueError for anything else."""
    if re.match(r"\s*\d{4}-", text):
        try:
            return datetime.fromisoformat(text.strip()).astimezone(UTC)
        except (ValueError, OverflowError, OSError):
            pass
    try:
        return (now or datetime.now(UTC)) - timedelta(seconds=seconds_of(text))
    except ValueError as error:
        raise ValueError(
            f"{text!r} is no time: 30m, 2d or 1w ago, or ISO 8601 such as 2026-11-28 or 2026-11-28T09:00+01:00"
        ) from error


def as_option(read: Callable[[str], Value]) -> Callable[[str], Value]:
    """The function as the parser of an option, which shows people the ValueError's message."""

    def parse(text: str) -> Value:
        try:
            return read(text)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error

    return parse
