"""`python -m benchmarks.house.attacks` counts the tests, marked `attack`, of attacks that must not succeed."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

from benchmarks.results import row, save

COMMAND = "python -m benchmarks.house.attacks"
ROOT = Path(__file__).parents[2]
_LONGEST_SECONDS = 300


def main() -> None:
    """Collects the tests without running them, prints how many each file has, and saves the sum."""
    collect = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", "attack", "-p", "no:cacheprovider"]
    found = subprocess.run(collect, cwd=ROOT, capture_output=True, text=True, timeout=_LONGEST_SECONDS, check=True)
    counts = count(found.stdout)
    for file, tests in sorted(counts.items()):
        print(f"{tests:4}  {file}")
    save([row("trust.attacks", [counts.total()], "tests", "the marker `attack`", COMMAND)])


def count(collected: str) -> Counter[str]:
    """The number of tests by file, from the output of `pytest --collect-only -q`, which has one line per test."""
    return Counter(line.partition("::")[0] for line in collected.splitlines() if "::" in line)


if __name__ == "__main__":
    main()
