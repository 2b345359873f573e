"""The answers of the health routes."""

from typing import Literal

from pydantic import Field

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
