"""An artifact store that hangs delays only the callers who ask for its contents."""

import os
from pathlib import Path

import anyio
import httpx
import pytest
from anyio.to_thread import current_default_thread_limiter
from fastapi import FastAPI

from service.artifacts.bulkhead import _SLOTS, CALLS_AT_ONCE
from service.artifacts.layout import ArtifactLayout
from service.config.stage_key import StageKey
from service.settings import Settings
from service.wiring import open_services
from tests.at_once import LONG_SECONDS
from tests.support.application import StubRay


@pytest.fixture
def hanging_file(app: FastAPI, finished_run: str, settings: Settings, ray: StubRay) -> Path:
    """A file of the finished run that can be opened but not read, as on a mount whose server is gone."""
    app.state.services = open_services(settings, ray_jobs=ray)  # services that have not read it yet
    file = Path(ArtifactLayout(settings.artifact_root).progress(StageKey(finished_run, 0, "train")))
    file.unlink()
    os.mkfifo(file)
    return file


def all_calls_hang() -> bool:
    """Whether the artifact store accepts no more calls, so that nobody else can hang."""
    if _SLOTS.acquire(blocking=False):
        _SLOTS.release()
        return False
    return True


async def let_go(file: Path) -> None:
    """Releases readers that wait for a writer, including those that open the file only now."""
    pipe = file.rename(file.with_suffix(".pipe"))
    with anyio.fail_after(LONG_SECONDS):
        while current_default_thread_limiter().borrowed_tokens:
            descriptor = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
            await anyio.sleep(0.01)
            os.close(descriptor)
            await anyio.sleep(0.01)


def test_runs_are_listed_and_shown_while_the_store_hangs(app: FastAPI, finished_run: str, hanging_file: Path) -> None:
    async def answers() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app)
        async with (
            httpx.AsyncClient(transport=transport, base_url="http://testserver", timeout=None) as client,
            anyio.create_task_group() as waiting,
        ):
            for _ in range(CALLS_AT_ONCE):
                waiting.start_soon(client.get, f"/runs/{finished_run}")
            try:
                with anyio.fail_after(LONG_SECONDS):
                    while not all_calls_hang():
                        await anyio.sleep(0.01)
                    run = f"/runs/{finished_run}"
                    paths = ("/runs", run, f"{run}/generations/0/stages/train/metrics")
                    found = [await client.get(path) for path in paths]
            finally:
                with anyio.CancelScope(shield=True):
                    await let_go(hanging_file)
        return found

    listed, shown, metrics = anyio.run(answers)

    assert [run["id"] for run in listed.json()["items"]] == [finished_run]
    [train, *_] = shown.json()["generation_details"][0]["stages"]
    assert (train["state"], train["progress"]) == ("succeeded", None)
    assert metrics.status_code == 503
    assert "does not answer" in metrics.json()["detail"]
