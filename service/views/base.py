"""The base of the API's answers: a frozen view, a page of views, and times."""

from datetime import UTC, datetime
from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field


class View(BaseModel):
    """An answer of the API. Only the service creates it."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Item = TypeVar("Item", bound=View)


class Page(View, Generic[Item]):
    """One page of a listing, newest first."""

    items: list[Item]
    next_cursor: str | None = Field(description="Pass it as `cursor` to get the next page; null on the last page.")


def as_time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def time_or_none(seconds: float | None) -> datetime | None:
    return None if seconds is None else as_time(seconds)
