"""Client and AsyncClient against a real server on loopback."""

import asyncio
import json
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing
from typing import Any, TypeVar

import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient

from api.examples.studies import TRIALS
from noisy_student import (
    AsyncClient,
    Client,
    Conflict,
    InvalidRequest,
    NotFound,
    Unreachable,
    WaitTimedOut,
)
from noisy_student.resources.stages import Trials
from service.config.run import RunChanges, RunConfig
from service.views.runs import RunView
from tests.at_once import join
from tests.support.application import StubRay

Result = TypeVar("Result")
NOBODY = "http://127.0.0.1:9"
"""The port of discard, where nothing listens."""


@pytest.fixture
def api(server: str) -> Iterator[Client]:
    with Client(server) as api:
        yield api


def _run(server: str, work: Callable[[AsyncClient], Awaitable[Result]]) -> Result:
    async def with_client() -> Result:
        async with AsyncClient(server) as api:
            return await work(api)

    return asyncio.run(asyncio.wait_for(with_client(), 60))


@pytest.mark.usefixtures("reconciling")
def test_a_run_is_created_and_waited_for(api: Client, run_config: dict[str, Any]) -> None:
    seen: list[str] = []
    run = api.runs.create(run_config).wait(progress=lambda run: seen.append(run.state), timeout_seconds=60)
    assert isinstance(run, RunView)
    assert run.state == "succeeded"
    assert seen[-1] == "succeeded"
    assert run.generation_details[-1].model is not None
    assert [model.run_id for model in api.models.list(run_id=run.id)] == [run.id] * 3


@pytest.mark.usefixtures("reconciling")
def test_the_async_client_does_the_same(server: str, run_config: dict[str, Any]) -> None:
    async def work(api: AsyncClient) -> None:
        seen: list[str] = []
        started = await api.runs.create(run_config)
        run = await started.wait(progress=lambda run: seen.append(run.state), timeout_seconds=60)
        assert (run.state, seen[-1]) == ("succeeded", "succeeded")
        assert [model.run_id async for model in api.models.list(run_id=run.id)] == [run.id] * 3
        assert (await run.refresh()).state == "succeeded"
        assert [event.run_id async for event in run.events(limit=2)] == [run.id] * 2

    _run(server, work)


def test_a_request_may_be_a_model_and_what_it_does_not_set_is_not_sent(api: Client, run_config: dict[str, Any]) -> None:
    config = RunConfig.model_validate_json(_json(run_config))
    run = api.runs.create(config)
    assert run.config is not None
    assert run.config.name == config.name
    assert api.runs.change(run.id, RunChanges(priority=3)).priority == 3
    assert run.change({"priority": -2}).priority == -2


def test_what_can_be_done_with_a_run_is_done_with_it(api: Client, run_id: str, ray: StubRay) -> None:
    run = api.runs.get(run_id)
    assert run.pause().state in ("pausing", "paused")
    assert run.resume().state == "running"
    assert run.cancel().state in ("cancelling", "cancelled")
    assert run.refresh().id == run_id


def test_a_wait_ends_after_its_timeout(api: Client, run_id: str) -> None:
    with pytest.raises(WaitTimedOut, match=f"{run_id} is running after 0.1 seconds"):
        api.runs.wait(run_id, timeout_seconds=0.1, poll_seconds=0.05)


class _Restarting:
    """A server of the application that can be stopped and restarted on the same port."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def start(self) -> None:
        config = uvicorn.Config(self._app, host="127.0.0.1", port=int(self.url.rpartition(":")[2]), log_config=None)
        self._server = uvicorn.Server(config)
        self._socket.close()
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.should_exit = True
        join(self._thread)


@pytest.mark.usefixtures("reconciling")
def test_a_wait_lives_through_an_api_that_restarts(app: FastAPI, client: TestClient, run_id: str) -> None:
    server = _Restarting(app)
    server.start()
    looks: list[str] = []

    def restart(run: RunView) -> None:
        looks.append(run.state)
        if len(looks) == 1:
            server.stop()
            threading.Timer(1.0, server.start).start()

    with Client(server.url, retries=30) as api:
        api.service.health()  # it responds
    with Client(server.url, retries=0) as api:
        assert api.runs.wait(run_id, progress=restart, poll_seconds=0.1, timeout_seconds=60).state == "succeeded"
    assert len(looks) > 1
    server.stop()


def test_a_listing_goes_over_all_pages_and_ends_at_its_limit(
    api: Client, register: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("noisy_student.pages._PAGE", 2)
    ids = [register(f"pets {number}", "labeled", 10 * number) for number in range(5)]
    assert [dataset.id for dataset in api.datasets.list()] == ids[::-1]
    assert [dataset.id for dataset in api.datasets.list(limit=3)] == ids[:1:-1]
    assert [len(page.items) for page in api.datasets.list().pages()] == [2, 2, 1]


def test_what_a_finished_run_has_is_read(api: Client, finished_run: str) -> None:
    assert [generation.number for generation in api.generations.list(finished_run)] == [2, 1, 0]
    assert api.generations.get(finished_run, 1).number == 1
    assert {stage.name for stage in api.stages.list(finished_run)} == {"train", "label", "select", "evaluate"}
    assert api.stages.get(finished_run, 1, "label").state == "succeeded"
    assert [attempt.number for attempt in api.stages.attempts(finished_run, 0, "train")] == [1]
    assert api.stages.attempt(finished_run, 0, "train", 1).state == "succeeded"
    assert api.stages.logs(finished_run, 0, "train", lines=1).lines == ["last line"]
    model = next(iter(api.models.list(limit=1)))
    assert api.models.keep(model.id).kept
    assert not api.models.release(model.id).kept
    assert api.models.lineage(model.id).run_config.name == "cats and dogs"
    assert api.queue.get().waiting == []
    assert {each.run_id for each in api.retention.plan(run_id=finished_run)} == {finished_run}


def test_metrics_trials_and_pages_are_data_frames(api: Client, finished_run: str) -> None:
    frame = api.stages.metrics(finished_run, 0, "train").to_dataframe()
    assert list(frame["step"]) == [10, 20]
    assert list(frame["loss"]) == [0.5, 0.5]
    assert set(api.models.list().to_dataframe()["run_id"]) == {finished_run}


def test_trials_are_a_data_frame_with_dotted_names() -> None:
    frame = Trials.model_validate_json(TRIALS.model_dump_json()).to_dataframe()
    assert "parameters.dropout" in frame.columns


def test_a_data_frame_without_pandas_says_what_is_missing(
    api: Client, finished_run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ModuleNotFoundError, match="pip install pandas"):
        api.stages.metrics(finished_run, 0, "train").to_dataframe()


def test_events_are_followed_from_the_first_one(api: Client, finished_run: str) -> None:
    wanted = [event.id for event in api.runs.events(finished_run)][::-1]
    followed = api.runs.follow_events(finished_run, after=0)
    assert [next(followed).id for _ in wanted] == wanted
    everything = api.events.follow(after=wanted[0])
    assert next(everything).id > wanted[0]


def test_events_are_followed_by_the_async_client(server: str, finished_run: str) -> None:
    async def work(api: AsyncClient) -> list[int]:
        wanted = [event.id async for event in api.runs.events(finished_run)]
        seen: list[int] = []
        async with aclosing(api.runs.follow_events(finished_run, after=0)) as followed:  # type: ignore[type-var]
            async for event in followed:
                seen.append(event.id)
                if len(seen) == len(wanted):
                    assert seen == wanted[::-1]
                    return seen
        raise AssertionError("the stream ended")

    assert _run(server, work)


def test_refusals_are_exceptions_with_the_problem_document(api: Client, run_config: dict[str, Any]) -> None:
    with pytest.raises(NotFound, match="there is no run 'run-0000000000'") as absent:
        api.runs.get("run-0000000000")
    assert (absent.value.status, absent.value.problem.instance) == (404, "/runs/run-0000000000")
    with pytest.raises(InvalidRequest) as invalid:
        api.runs.create({**run_config, "fault_tolerance": {"max_bad_fraction": 2}})
    assert [error.field for error in invalid.value.errors] == ["fault_tolerance.max_bad_fraction"]
    with pytest.raises(InvalidRequest, match="teacher_model"):
        api.runs.create({**run_config, "teacher_model": "no_such_model"})
    run = api.runs.create(run_config)
    with pytest.raises(Conflict):
        run.retry()


def test_refusals_are_the_same_for_the_async_client(server: str) -> None:
    async def work(api: AsyncClient) -> None:
        with pytest.raises(NotFound, match="there is no dataset 'ds-0000000000'"):
            await api.datasets.get("ds-0000000000")

    _run(server, work)


def test_an_id_cannot_leave_its_place_in_the_path(api: Client) -> None:
    with pytest.raises((NotFound, InvalidRequest)):
        api.runs.get("../datasets")


def test_nobody_there_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    with Client(NOBODY, retries=0) as api, pytest.raises(Unreachable, match=r"does not answer (?s:.*)noisy-student up"):
        api.service.health()

    async def work() -> None:
        async with AsyncClient(NOBODY, retries=0) as api:
            with pytest.raises(Unreachable):
                await api.service.health()

    asyncio.run(work())


def test_the_same_request_with_the_same_key_is_carried_out_once(api: Client, run_config: dict[str, Any]) -> None:
    first = api.runs.create(run_config, idempotency_key="once")
    assert api.runs.create(run_config, idempotency_key="once").id == first.id
    assert api.runs.create(run_config).id != first.id


def test_readiness_is_an_answer_also_where_something_is_missing(api: Client, ray: StubRay) -> None:
    assert api.service.readiness().ready
    ray.away = True
    assert not api.service.readiness().ready


def _json(body: dict[str, Any]) -> str:
    return json.dumps(body)
