"""Registrations wait in a queue of their own, and nobody else waits for them."""

import os
from pathlib import Path

import anyio
import httpx
from fastapi import FastAPI

from api.registration_line import MOST_WAITING
from service.datasets.registration.inspector_pool import InspectorPool
from service.datasets.registration.messages import DatasetSummary, InspectionJob
from service.settings import Settings
from service.wiring import open_services


class HeldInspectors(InspectorPool):
    """An inspection that blocks until it is released, like storage that does not respond."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.registration.limits, settings.registration.processes)
        self.looking = 0
        self._reader, self._writer = os.pipe()

    def inspect(self, job: InspectionJob) -> DatasetSummary:
        self.looking += 1
        os.read(self._reader, 1)  # until `let_go`
        return super().inspect(job)

    def let_go(self) -> None:
        os.close(self._writer)


def test_forty_registrations_that_hang_hold_up_nobody_else(app: FastAPI, settings: Settings, tmp_path: Path) -> None:
    inspectors = HeldInspectors(settings)
    app.state.services = open_services(settings, ray_jobs=app.state.services.ray_jobs, inspectors=inspectors)
    body = {"name": "x", "role": "unlabeled", "uri": str(tmp_path / "nowhere")}
    refused: list[int] = []

    async def register(client: httpx.AsyncClient) -> None:
        refused.append((await client.post("/datasets", json=body)).status_code)

    async def statuses() -> list[int]:
        transport = httpx.ASGITransport(app)
        async with (
            httpx.AsyncClient(transport=transport, base_url="http://testserver", timeout=None) as client,
            anyio.create_task_group() as registering,
        ):
            for _ in range(40):
                registering.start_soon(register, client)
            try:
                with anyio.fail_after(20):
                    while inspectors.looking < settings.registration.processes:
                        await anyio.sleep(0.01)
                    paths = ("/runs", "/me", "/datasets", "/healthz")
                    found = [(await client.get(path)).status_code for path in paths]
            finally:
                inspectors.let_go()
        return found

    assert anyio.run(statuses) == [200, 200, 200, 200]
    assert refused == [422] * 40


def test_a_line_that_is_too_long_is_said_to_be(app: FastAPI, settings: Settings, tmp_path: Path) -> None:
    inspectors = HeldInspectors(settings)
    app.state.services = open_services(settings, ray_jobs=app.state.services.ray_jobs, inspectors=inspectors)
    body = {"name": "x", "role": "unlabeled", "uri": str(tmp_path / "nowhere")}
    answers: list[httpx.Response] = []
    more = 5

    async def ask() -> None:
        transport = httpx.ASGITransport(app)

        async def register() -> None:
            answers.append(await client.post("/datasets", json=body))

        async with (
            httpx.AsyncClient(transport=transport, base_url="http://testserver", timeout=None) as client,
            anyio.create_task_group() as registering,
        ):
            for _ in range(settings.registration.processes + MOST_WAITING + more):
                registering.start_soon(register)
            try:
                with anyio.fail_after(20):
                    while len(answers) < more:
                        await anyio.sleep(0.01)
            finally:
                inspectors.let_go()

    anyio.run(ask)

    busy = answers[:more]
    assert [answer.status_code for answer in busy] == [503] * more
    assert busy[0].headers["Retry-After"]
    assert busy[0].json()["type"].endswith("registration-busy")
    assert {answer.status_code for answer in answers[more:]} == {422}
