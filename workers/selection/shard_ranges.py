"""Spreads ranges of shards over processes. Threads would take turns: numpy holds Python's lock while it counts."""

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from itertools import islice, pairwise
from pathlib import Path
from typing import TypeVar

from workers.runtime.spawned_processes import end_with_parent
from workers.specs.figures import MOST_SELECTION_PROCESSES, ROWS_WORTH_A_PROCESS

Item = TypeVar("Item")

_CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_RANGES_A_PROCESS = 8
_READERS = 3
"""How many shards of a remote store, which answers late, are read while another is worked on. Reading a local store
ahead would only take the processor from the work."""


def most_processes() -> int:
    """The most processes that selection uses on this machine."""
    return max(1, min(len(os.sched_getaffinity(0)), _quota_cores(), MOST_SELECTION_PROCESSES))


def start_executor(rows: int) -> tuple[Executor, int]:
    """An executor for a dataset of `rows` rows, and into how many ranges its shards are to be divided."""
    processes = min(most_processes(), rows // ROWS_WORTH_A_PROCESS)
    if processes <= 1:
        return ThreadPoolExecutor(1), 1
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(processes, context, initializer=end_with_parent), processes * _RANGES_A_PROCESS


def divided(shards: int, ranges: int) -> list[range]:
    """Divides `shards` shards into consecutive ranges of nearly equal length, none of them empty."""
    ends = [shards * number // ranges for number in range(ranges + 1)]
    return [range(start, end) for start, end in pairwise(ends) if start < end]


def read_ahead(read: Callable[[int], Item], shards: Sequence[int], is_remote: bool) -> Iterator[Item]:
    """Yields what `read` returns for each shard, in order. The next few shards of a remote store are read meanwhile."""
    if not is_remote:
        yield from map(read, shards)
        return
    with ThreadPoolExecutor(_READERS) as readers:
        waiting = iter(shards)
        pending = [readers.submit(read, shard) for shard in islice(waiting, _READERS)]
        while pending:
            done = pending.pop(0).result()
            pending += [readers.submit(read, shard) for shard in islice(waiting, 1)]
            yield done


def _quota_cores() -> int:
    """How many cores this container may use (docs.kernel.org, cgroup-v2: cpu.max)."""
    try:
        quota, period = _CPU_QUOTA.read_text().split()
        return int(quota) // int(period)
    except (OSError, ValueError):  # no cgroups of version 2, or "max" instead of a number
        return MOST_SELECTION_PROCESSES
