"""The variables of grouped settings are those that pydantic-settings reads."""

from enum import StrEnum

import pytest
from pydantic import BaseModel, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from reference_pages.settings import settings_page


class Colour(StrEnum):
    RED = "red"


class Limits(BaseModel):
    seconds: float = Field(default=3, gt=0, description="For one look.")


class Inspection(BaseModel):
    limits: Limits = Limits()
    colour: Colour = Colour.RED


class Provider(BaseModel):
    issuer: str


class Made(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="MADE_", env_nested_delimiter="__")

    home: str = "data"
    inspection: Inspection = Inspection()
    provider: Provider | None = None
    token: SecretStr = SecretStr("not to be shown")


def test_every_setting_has_a_row_whatever_group_it_is_in() -> None:
    rows = settings_page(Made).split("| --- | --- | --- | --- |\n")[1].splitlines()

    assert rows == [
        '| `MADE_HOME` | text | `"data"` |  |',
        "| `MADE_INSPECTION__LIMITS__SECONDS` | number | `3` | For one look. (> 0) |",
        '| `MADE_INSPECTION__COLOUR` | `"red"` | `"red"` |  |',
        "| `MADE_PROVIDER__ISSUER` | text | **required** |  |",
        '| `MADE_TOKEN` | secret text | `"**********"` |  |',
    ]


def test_the_variables_are_those_that_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MADE_INSPECTION__LIMITS__SECONDS", "7")
    monkeypatch.setenv("MADE_PROVIDER__ISSUER", "https://issuer")

    read = Made()

    assert read.inspection.limits.seconds == 7
    assert read.provider == Provider(issuer="https://issuer")
