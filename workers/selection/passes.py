"""Runs a function over all ranges of a dataset's shards, and reads their rows."""

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from workers.selection.label_rows import LabelRows
from workers.selection.selector import Choice, Rules
from workers.selection.shard_ranges import read_ahead

Outcome = TypeVar("Outcome")


@dataclass(frozen=True)
class Passes:
    """Runs functions over all ranges of shards, on the executor's processes, and gives their outcomes in order."""

    executor: Executor
    ranges: list[range]
    rules: Rules

    def run(self, function: Callable[..., Outcome], *arguments: list[Choice]) -> Iterator[Outcome]:
        """Yields `function(rules, shards)` for each range. `arguments` have one more argument for each range."""
        return self.executor.map(partial(function, self.rules), self.ranges, *arguments)


def rows_of(rules: Rules, shards: range) -> Iterator[LabelRows]:
    """The rows of each shard of a range, in order."""
    return read_ahead(rules.read, shards, rules.is_remote)
