"""`python -m benchmarks.house.suite seconds|under-load`: how long the tests take, and whether they pass under load.

`seconds` runs the suite once, and also times a fixed loop, because machines differ. `under-load` runs it three times
next to two busy loops, each time in another random order, whose seed it prints.
"""

import argparse
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from benchmarks.results import row, save

PROCESSES = 3
"""Processes of pytest: two of them wait for a stack each (the end-to-end tests), one runs the rest."""
_LOOP_ROUNDS = 30_000_000
_RUNS_UNDER_LOAD = 3
_BUSY_LOOPS = 2
_LIMIT_SECONDS = 3600.0
"""A suite that takes longer must hang, since its own limits end each test long before."""
_BUSY = """
import os, sys, time
parent, ends_at = int(sys.argv[1]), time.monotonic() + float(sys.argv[2])
while os.getppid() == parent and time.monotonic() < ends_at:
    for _ in range(1_000_000):
        pass
"""


def main() -> int:
    """Runs the command, saves its row if there is one, and returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("seconds", "under-load"))
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32), help="of the first order")
    parser.add_argument("tests", nargs="*", help="folders or files, instead of the whole suite: no row is saved then")
    given = parser.parse_args()
    if given.what == "seconds":
        return take_time(given.seed, given.tests)
    return run_under_load(given.seed, given.tests)


def take_time(seed: int, tests: list[str]) -> int:
    """Runs the suite once, with the fixed loop before and after it, and returns the exit code."""
    loops = [loop_seconds()]
    started = time.monotonic()
    code = run_suite(seed, tests)
    seconds = time.monotonic() - started
    loops.append(loop_seconds())
    mean_loop = sum(loops) / len(loops)
    print(f"{seconds:.0f} s; the fixed loop takes {mean_loop:.2f} s")
    if code == 0 and not tests:
        beside = f"a fixed loop of {_LOOP_ROUNDS:,} rounds took {mean_loop:.2f} s before and after"
        save([row("suite.seconds", [seconds], "s", beside, "make benchmark-suite")])
    return code


def run_under_load(seed: int, tests: list[str]) -> int:
    """Runs the suite three times next to busy loops, and returns the exit code."""
    green = []
    for number in range(_RUNS_UNDER_LOAD):
        with busy_loops():
            green.append(run_suite(seed + number, tests) == 0)
        print(f"run {number + 1} of {_RUNS_UNDER_LOAD}, order {seed + number}: {'green' if green[-1] else 'RED'}")
    if not tests:
        beside = f"{_BUSY_LOOPS} busy loops on {os.cpu_count()} cores, orders from seed {seed}"
        command = "make test-under-load"
        save([row("suite.green_under_load", [sum(green)], f"of {_RUNS_UNDER_LOAD} runs", beside, command)])
    return 0 if all(green) else 1


def run_suite(seed: int, tests: list[str]) -> int:
    """Runs the suite as `make test` does, in the order of the seed, and returns pytest's exit code."""
    print(f"order: --randomly-seed={seed}", flush=True)
    command = [sys.executable, "-m", "pytest", f"-n{PROCESSES}", "--durations=20", f"--randomly-seed={seed}", *tests]
    return subprocess.run(command, check=False, timeout=_LIMIT_SECONDS).returncode


def loop_seconds() -> float:
    """Seconds for a fixed loop, as a measure of the machine's speed."""
    started = time.perf_counter()
    for _ in range(_LOOP_ROUNDS):
        pass
    return time.perf_counter() - started


@contextmanager
def busy_loops(count: int = _BUSY_LOOPS) -> Iterator[list["subprocess.Popen[bytes]"]]:
    """Runs processes that use all CPU time they get, at this process's priority. They end with it, however it ends."""
    command = [sys.executable, "-c", _BUSY, str(os.getpid()), str(_LIMIT_SECONDS)]
    with ExitStack() as ending:
        loops = [subprocess.Popen(command) for _ in range(count)]
        for loop in loops:
            ending.callback(loop.wait, timeout=30)
            ending.callback(loop.kill)
        yield loops


if __name__ == "__main__":
    sys.exit(main())
