"""The answers of the health routes."""

from typing import Literal

from pydantic import Field, JsonValue

from service.views.base import View


class Health(View):
    """The process answers."""

    status: Literal["ok"] = "ok"


class ReadinessCheck(View):
    """One thing that the service needs."""

    name: Literal["database", "ray"]
    ready: bool
    detail: str = Field(description="A version if ready, otherwise the problem.")


class Readiness(View):
    """Whether requests can be served."""

    ready: bool
    checks: list[ReadinessCheck]


class SettingView(View):
    """A setting with which the service runs."""

    name: str = Field(description="The environment variable, without NOISY_STUDENT_.")
    value: JsonValue = Field(description="Secrets are hidden, also those within addresses.")
    is_default: bool


class ServiceSettings(View):
    """What the service runs with."""

    version: str
    home_free_bytes: int = Field(description="Free space on the disk of the service's home folder.")
    settings: list[SettingView]
