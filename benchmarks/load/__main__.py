"""`python -m benchmarks.load latency` measures the p99 of POST /runs and all GETs; `... soak SECONDS`, the memory."""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.load.scene import LoadScene
from benchmarks.load.traffic import POST, Record, Traffic, percentile
from benchmarks.results import ResultRow, row, save
from benchmarks.support.postgres_server import PostgresServer
from benchmarks.support.process_memory import tree_pss_bytes

ACTIVE, FINISHED = 1_000, 100_000
RATE = 50.0
ROUNDS, ROUND_SECONDS, WARM_UP_SECONDS = 3, 120.0, 20.0
SOAK_WARM_UP_SECONDS = 300.0
"""How long it takes until connections, caches and the interpreters' memory arenas are filled."""
_LATENCY = "make benchmark-load"


def latency() -> None:
    """Measures with both databases, then writes the rows."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        with PostgresServer(durable=True) as server:
            rows += _latency_rows("", "postgresql", server.url(), Path(folder) / "postgresql")
        home = Path(folder) / "sqlite"
        home.mkdir()
        rows += _latency_rows("sqlite.", "sqlite", f"sqlite:///{home / 'benchmark.db'}", home)
    save(rows)


def _latency_rows(infix: str, name: str, url: str, home: Path) -> list[ResultRow]:
    with LoadScene(home, url, ACTIVE, FINISHED) as scene:
        windows = [WARM_UP_SECONDS] + [ROUND_SECONDS] * ROUNDS
        before = psutil.cpu_times()._asdict()
        warm_up, *records = asyncio.run(Traffic(scene, RATE, seed=0).run(windows))
        stolen = _stolen_share(before, psutil.cpu_times()._asdict())
    for record in (warm_up, *records):
        _say(name, record)
    worst = [_worst_get(record) for record in records]
    load = f"ms, {name}, {RATE:.0f} requests/s, {ACTIVE:,} active and {FINISHED:,} finished runs"
    load += f"; other machines on the same host took {stolen:.1%} of the processors' time"
    routes = ", ".join(sorted({route for route, _ in worst}))
    every = [
        [seconds for route, taken in each.seconds.items() if "GET" in route for seconds in taken] for each in records
    ]
    return [
        row(
            f"api.{infix}post_run.p99_ms",
            [1e3 * percentile(each.seconds[POST], 0.99) for each in records],
            load,
            "goal: 100 ms",
            _LATENCY,
        ),
        row(
            f"api.{infix}get.p99_ms",
            [1e3 * seconds for _, seconds in worst],
            f"{load}; the slowest route of each round: {routes}",
            "goal: 100 ms",
            _LATENCY,
        ),
        row(
            f"api.{infix}all_gets.p99_ms",
            [1e3 * percentile(each, 0.99) for each in every],
            f"{load}; all GETs together",
            "",
            _LATENCY,
        ),
    ]


def _stolen_share(before: dict[str, float], after: dict[str, float]) -> float:
    """The share of processor time that the host withheld from this virtual machine (steal time), in 0..1."""
    passed = {name: after[name] - before[name] for name in after}
    return passed.get("steal", 0.0) / sum(passed.values())


def _worst_get(record: Record) -> tuple[str, float]:
    by_route = {route: percentile(taken, 0.99) for route, taken in record.seconds.items() if route.startswith("GET")}
    return max(by_route.items(), key=lambda item: item[1])


def _say(name: str, record: Record) -> None:
    print(name, sum(map(len, record.seconds.values())), "answers", flush=True)
    slowest = sorted(record.seconds.items(), key=lambda item: -percentile(item[1], 0.99))
    for route, taken in slowest[:6]:
        p50, p99 = (1e3 * percentile(taken, share) for share in (0.5, 0.99))
        print(f"  {route}: p50 {p50:.0f} ms, p99 {p99:.0f} ms, {len(taken)} times", flush=True)
    for failure in record.failures[:10]:
        print("  FAILED", failure, flush=True)
    print(f"  {len(record.failures)} requests failed", flush=True)


def soak(seconds: float) -> None:
    """Measures by how many MiB the API and the reconciler grow together from the end of the warm-up to the end."""
    memory: list[tuple[float, dict[str, float]]] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        PostgresServer(durable=True) as server,
        LoadScene(Path(folder) / "home", server.url(), ACTIVE, FINISHED) as scene,
    ):
        begun = time.monotonic()

        def look() -> None:
            now = {name: tree_pss_bytes(pid) / 2**20 for name, pid in scene.pids().items()}
            memory.append((time.monotonic() - begun, now))
            print(f"{memory[-1][0]:.0f} s", {name: round(mib, 1) for name, mib in now.items()}, flush=True)

        windows = [SOAK_WARM_UP_SECONDS, seconds]
        for record in asyncio.run(Traffic(scene, RATE, seed=0).run(windows, each_minute=look)):
            _say("soak", record)
    settled = [sum(now.values()) for at, now in memory if at >= SOAK_WARM_UP_SECONDS]
    first, last = settled[: max(1, len(settled) // 10)], settled[-max(1, len(settled) // 10) :]
    growth = sum(last) / len(last) - sum(first) / len(first)
    unit = f"MiB in {seconds:.0f} s at {RATE:.0f} requests/s, API and reconciler, PostgreSQL; {first[0]:.0f} MiB in all"
    save(
        [
            row(
                "soak.memory_growth_mib",
                [growth],
                unit,
                "the first tenth after a warm-up",
                f"make soak SOAK_SECONDS={seconds:.0f}",
            )
        ]
    )


if __name__ == "__main__":
    if sys.argv[1] == "soak":
        soak(float(sys.argv[2]))
    else:
        latency()
