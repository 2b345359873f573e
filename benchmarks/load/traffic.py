"""Sends requests at a steady rate, however long responses take. Each is timed from the moment when it was due."""

import asyncio
import gc
import itertools
import json
import math
import random
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import aiohttp

from api.access.route_scopes import ROUTE_SCOPES
from benchmarks.load.scene import WITH_ARTIFACTS, LoadScene

LEFT_OUT = {
    "/events/stream": "followed all the while",
    "/runs/{run_id}/events/stream": "followed all the while",
    "/ray": "Ray's own answer, passed on",
    "/ray/{path:path}": "Ray's own answer, passed on",
    "/runs/{run_id}/generations/{generation}/stages/{stage}/pictures/{name}": "a file, passed on",
}
POST, CANCEL = "POST /runs", "POST /runs/{run_id}/cancel"
_EVERY = 10
"""Of this many requests, one starts a run and one cancels an earlier run. The others are GETs of all routes in turn."""
_CANCEL_AFTER = 5
"""How many started runs are in progress before the oldest is cancelled."""
_FOLLOWERS = 5
_TIMEOUT_SECONDS = 30.0
_SWITCH_SECONDS = 0.001
"""The switch interval of Python's lock: the sender shares its process with Ray's stand-in and must not wait for it."""


@dataclass
class Record:
    """The seconds of requests by route, and what went wrong."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    failures: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Known:
    """The ids of objects other than runs that the requests ask for."""

    search: str
    ablation: str
    plan: str
    webhook: str


class Traffic:
    """The traffic on one scene. `rate` is in requests per second."""

    def __init__(self, scene: LoadScene, rate: float, seed: int) -> None:
        self._scene = scene
        self._rate = rate
        self._random = random.Random(seed)
        self._posted: list[str] = []
        self._gets = itertools.cycle(get_routes())

    async def run(self, windows: Sequence[float], each_minute: Callable[[], None] = lambda: None) -> list[Record]:
        """Sends requests without a pause. Returns one record per window (seconds) once all responses are in."""
        _keep_own_pauses_out()
        ends = list(itertools.accumulate(windows))
        records = [Record() for _ in windows]
        headers = {"Authorization": f"Bearer {self._scene.key}"}
        async with aiohttp.ClientSession(
            self._scene.api_url,
            headers=headers,
            timeout=aiohttp.ClientTimeout(_TIMEOUT_SECONDS),
            connector=aiohttp.TCPConnector(limit=0),
        ) as client:
            known = await self._prepare(client)
            followers = [asyncio.create_task(_follow(client)) for _ in range(_FOLLOWERS)]
            begun, minute, sent = time.perf_counter(), 1, set()
            for number in range(int(ends[-1] * self._rate)):
                due = begun + number / self._rate
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                record = next(record for record, end in zip(records, ends, strict=True) if due - begun < end)
                task = asyncio.create_task(self._send(client, number, due, known, record))
                sent.add(task)
                task.add_done_callback(sent.discard)
                if due - begun >= 60 * minute:
                    minute += 1
                    each_minute()
            await asyncio.gather(*sent)
            for follower in followers:
                follower.cancel()
                with suppress(asyncio.CancelledError):
                    await follower
            for run_id in self._posted:
                async with client.post(f"/runs/{run_id}/cancel"):
                    pass
            self._posted.clear()
        return records

    async def _send(self, client: aiohttp.ClientSession, number: int, due: float, known: Known, record: Record) -> None:
        turn = number % _EVERY
        if turn == 0:
            route, path, body = POST, "/runs", {**self._scene.run_config(), "name": f"run {number}"}
        elif turn == _EVERY // 2 and len(self._posted) > _CANCEL_AFTER:
            route, path, body = CANCEL, f"/runs/{self._posted.pop(0)}/cancel", None
        else:
            template = next(self._gets)
            route, path, body = f"GET {template}", self._path(template, known), None
        try:
            async with client.request(route.partition(" ")[0], path, json=body) as response:
                answer = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            record.seconds[route].append(time.perf_counter() - due)
            record.failures.append(f"{path}: {type(error).__name__}")
            return
        record.seconds[route].append(time.perf_counter() - due)
        if response.status >= 400:
            record.failures.append(f"{path}: {response.status} {answer[:200]!r}")
        elif route == POST:
            self._posted.append(json.loads(answer)["id"])

    async def _prepare(self, client: aiohttp.ClientSession) -> Known:
        async def post(path: str, body: object) -> str:
            async with client.post(path, json=body) as response:
                if response.status >= 400:
                    raise RuntimeError(f"{path}: {await response.text()}")
                return str((await response.json())["id"])

        run_id = self._scene.finished[0]
        known = Known(
            search=await post("/searches", {"run_id": run_id, "generation": 1}),
            ablation=await post(f"/runs/{run_id}/ablations", {}),
            plan=await post("/plans", {"run": self._scene.run_config(), "cluster": {"devices": 16}}),
            webhook=await post("/webhooks", {"url": "https://127.0.0.1/hook", "kinds": ["model_kept"]}),
        )
        self._posted += [known.search, known.ablation, known.plan]
        return known

    def _path(self, template: str, known: Known) -> str:
        runs = self._random.choice((self._scene.active, self._scene.finished))
        run_id = self._random.choice(self._random.choice((runs, runs[:WITH_ARTIFACTS])))
        if template.endswith("/search/trials"):
            return f"/runs/{known.search}/generations/1/stages/search/trials"
        values = {
            "run_id": run_id,
            "generation": self._random.choice((1, 2)),
            "stage": self._random.choice(("label", "select", "train", "evaluate")),
            "attempt": 1,
            "dataset_id": self._random.choice(list(self._scene.datasets.values())),
            "model_id": f"{run_id}-g2",
            "search_id": known.search,
            "ablation_id": known.ablation,
            "plan_id": known.plan,
            "webhook_id": known.webhook,
            "name": "default",
        }
        return template.replace("{file:path}", "style.css").format(**values)


def _keep_own_pauses_out() -> None:
    """Avoids pauses in the sender's own process, which would count as the API's."""
    sys.setswitchinterval(_SWITCH_SECONDS)
    # A garbage collection of everything that the scene has created and imported would take 200 ms now and then.
    gc.collect()
    gc.freeze()


def get_routes() -> list[str]:
    """The path templates of all GETs to send."""
    return [path for method, path in ROUTE_SCOPES if method == "GET" and path not in LEFT_OUT]


async def _follow(client: aiohttp.ClientSession) -> None:
    async with client.get("/events/stream", timeout=aiohttp.ClientTimeout(None)) as response:
        async for _ in response.content.iter_any():
            pass


def percentile(values: list[float], share: float) -> float:
    """The percentile of the values by nearest rank; `share` is in 0..1."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
