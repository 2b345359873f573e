"""`--set PATH=VALUE` changes one field of a body, and durations and moments are read as people write them."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from noisy_student.cli.changes import with_changes
from noisy_student.cli.times import moment_of, seconds_of

BODY: dict[str, Any] = {"name": "a", "recipe": {"steps": 10, "noise": {"m": 9}}, "models": ["x", "y"], "gate": None}


@pytest.mark.parametrize(
    ("change", "path", "value"),
    [
        ("name=b", ["name"], "b"),
        ("recipe.steps=2000", ["recipe", "steps"], 2000),
        ("recipe.noise.m=1e-3", ["recipe", "noise", "m"], 0.001),
        ("recipe.noise=null", ["recipe", "noise"], None),
        ("models=[p, q, r]", ["models"], ["p", "q", "r"]),
        ("models.1=z", ["models", 1], "z"),
        ("models.2=new", ["models", 2], "new"),
        ("gate.conditions=['top1 >= previous']", ["gate", "conditions"], ["top1 >= previous"]),
        ("no.such.field=true", ["no", "such", "field"], True),
        ("name=a=b", ["name"], "a=b"),
        ("name='7'", ["name"], "7"),
        ("recipe={steps: 3}", ["recipe"], {"steps": 3}),
        ("name=", ["name"], None),
    ],
)
def test_a_change_sets_its_field_and_nothing_else(change: str, path: list[Any], value: object) -> None:
    changed: Any = with_changes(BODY, [change])
    for name in path:
        changed = changed[name]
    assert changed == value
    assert type(changed) is type(value)
    assert BODY == {"name": "a", "recipe": {"steps": 10, "noise": {"m": 9}}, "models": ["x", "y"], "gate": None}


def test_changes_are_made_in_order() -> None:
    assert with_changes({}, ["a.b=1", "a.c=2", "a.b=3"]) == {"a": {"b": 3, "c": 2}}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("name", "is no PATH=VALUE"),
        ("=1", "is no PATH=VALUE"),
        ("a..b=1", "is no PATH=VALUE"),
        ("name.first=1", "name.first: name is 'a', which has no fields"),
        ("models.x=1", "models.x: models is a list of 2, and 'x' is none of its places"),
        ("models.3=1", "models.3: models is a list of 2"),
        ("name=[1", "name: line 1: "),
        ("name=!!binary c2U=", "name: a value that JSON does not have"),
    ],
)
def test_a_change_that_cannot_be_made_is_named(change: str, told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        with_changes(BODY, [change])


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("0.5s", 0.5),
        ("45s", 45),
        ("30m", 1800),
        ("30 min", 1800),
        ("2H", 7200),
        ("1.5d", 129600),
        ("1h30m", 5400),
        ("1w", 604800),
    ],
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "90", "2x", "-1h", "0", "1h 2", "9" * 30 + "d", "nan"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no"):
        seconds_of(text)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2d", datetime(2026, 11, 27, 12, tzinfo=UTC)),
        ("90m", datetime(2026, 11, 29, 10, 30, tzinfo=UTC)),
        ("2026-11-28T09:00+01:00", datetime(2026, 11, 28, 8, tzinfo=UTC)),
        ("2026-11-28T09:00:00Z", datetime(2026, 11, 28, 9, tzinfo=UTC)),
    ],
)
def test_a_moment_is_read(text: str, moment: datetime) -> None:
    assert moment_of(text, datetime(2026, 11, 29, 12, tzinfo=UTC)) == moment


def test_a_day_begins_in_the_time_zone_of_this_machine() -> None:
    assert moment_of("2026-11-28") == datetime(2026, 11, 28).astimezone()


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01", "2026-11-28T", "", "0001-01-01x"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no time"):
        moment_of(text)
