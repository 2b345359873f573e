"""Reads durations such as `2h` and `1d12h`, and moments such as `2d` ago or `2026-11-28T09:00`. Pure."""

import re
from datetime import UTC, datetime, timedelta

import typer

_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|m|h|d|w)")
_LONGEST_SECONDS = 100 * 365 * 86400


def seconds_of(text: str) -> float:
    """The seconds of `90`, `45s`, `30m`, `2h`, `1.5d` or `1h30m`. Raises BadParameter for anything else."""
    written = text.strip().lower()
    if re.fullmatch(r"\d+(\.\d+)?", written):
        seconds = float(written)
    elif re.fullmatch(rf"({_PART.pattern}\s*)+", written):
        seconds = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(written))
    else:
        raise typer.BadParameter(f"{text!r} is no duration: 90, 45s, 30m, 2h, 1d or 1h30m")
    if not 0 < seconds <= _LONGEST_SECONDS:
        raise typer.BadParameter(f"{text!r} is not between 0 and 100 years")
    return seconds


def moment_of(text: str, now: datetime | None = None) -> datetime:
    """The moment that `text` names: a duration before now, or an ISO 8601 date or time, in this machine's time zone
    unless it has one. Raises BadParameter for anything else."""
    if re.match(r"\s*\d{4}-", text):
        try:
            return datetime.fromisoformat(text.strip()).astimezone(UTC)
        except (ValueError, OverflowError, OSError):
            pass
    try:
        return (now or datetime.now(UTC)) - timedelta(seconds=seconds_of(text))
    except typer.BadParameter as error:
        raise typer.BadParameter(
            f"{text!r} is no time: 30m, 2d or 1w ago, or ISO 8601 such as 2026-11-28 or 2026-11-28T09:00+01:00"
        ) from error
