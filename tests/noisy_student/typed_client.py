"""What a type checker knows about the client. This never runs; `make lint` checks it."""

from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any, assert_type

from noisy_student import AsyncClient, Client
from noisy_student.pages import AsyncPages, Pages
from noisy_student.resources.runs import AsyncRun, Run
from noisy_student.resources.stages import Metrics
from service.config.run import RunConfig
from service.views.datasets import DatasetView
from service.views.runs import EventView, ModelView, RunSummary


def sync(client: Client, config: RunConfig) -> None:
    assert_type(client.runs.create(config), Run)
    assert_type(client.runs.create({}, idempotency_key="once").wait(progress=print), Run)
    assert_type(client.runs.list(limit=3), Pages[RunSummary])
    assert_type(next(iter(client.models.list(run_id="run-1"))), ModelView)
    assert_type(client.stages.metrics("run-1", 1, "train"), Metrics)
    assert_type(client.runs.follow_events("run-1"), Iterator[EventView])
    client.runs.create(config, idempotency="once")  # type: ignore[call-arg]
    client.runs.get()  # type: ignore[call-arg]
    client.rnus  # type: ignore[attr-defined]  # noqa: B018


async def asynchronous(client: AsyncClient, config: RunConfig) -> None:
    assert_type(await client.runs.create(config), AsyncRun)
    waited: Coroutine[Any, Any, AsyncRun] = (await client.runs.get("run-1")).wait()
    assert_type(await waited, AsyncRun)
    assert_type(await client.datasets.get("ds-1"), DatasetView)
    assert_type(client.models.list(), AsyncPages[ModelView])
    assert_type(client.events.follow(after=0), AsyncIterator[EventView])
