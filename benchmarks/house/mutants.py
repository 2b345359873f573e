"""`python -m benchmarks.house.mutants` changes the pure decisions, one place at a time. Do their tests notice?

mutmut makes the mutants and runs the tests. pyproject.toml says what it mutates and which tests run. `... counted`
counts the results that the last run left in `mutants/`, without running anything. The exit code is 1 below the floor.

"""

import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from benchmarks.results import row, save

COMMAND = "python -m benchmarks.house.mutants"
ROOT = Path(__file__).parents[2]
FLOOR = 0.85
"""For each part, so that a well-tested part does not make up for another."""
PARTS = {
    "lifecycle": "service.lifecycle.",
    "retention.decisions": "service.retention.decisions.",
    "scheduling.queue": "service.scheduling.queue.",
    "selection": "workers.selection.",
}
_NOTICED = frozenset({"killed", "timeout", "segfault", "caught by type check"})
"""Mutants that make a loop endless fail their test by a timeout."""
_MUTMUT = Path(sys.executable).with_name("mutmut")


def main() -> None:
    """Runs all mutants, prints those that no test notices, and saves the share of the others."""
    if sys.argv[1:] != ["counted"]:
        shutil.rmtree(ROOT / "mutants", ignore_errors=True)
        subprocess.run([_MUTMUT, "run"], cwd=ROOT, check=True)
    listed = subprocess.run(
        [_MUTMUT, "results", "--all", "true"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    outcomes = outcomes_of(listed.splitlines())
    unnoticed = sorted(name for name, outcome in outcomes.items() if outcome not in _NOTICED)
    print(*(f"{name}: {outcomes[name]} (mutmut show {name})" for name in unnoticed), sep="\n")
    shares = shares_of(outcomes)
    killed = 1 - len(unnoticed) / len(outcomes)
    told = ", ".join(f"{part} {share:.3f}" for part, share in shares.items())
    print(f"{killed:.3f} of {len(outcomes)} mutants killed: {told}")
    save([row("house.mutants_killed_share", [killed], "share", f"the floor: {FLOOR} of each part; {told}", COMMAND)])
    low = [part for part, share in shares.items() if share < FLOOR]
    if low:
        sys.exit(f"Under the floor of {FLOOR}: {', '.join(low)}. Write the tests that tell these mutants apart.")


def outcomes_of(lines: Iterable[str]) -> dict[str, str]:
    """The outcome of each mutant, from mutmut's lines `NAME: OUTCOME`. Raises ValueError if one did not run."""
    outcomes = dict(line.strip().split(": ", 1) for line in lines if ": " in line)
    not_run = [name for name, outcome in outcomes.items() if outcome == "not checked"]
    if not_run:
        raise ValueError(f"{len(not_run)} mutants were not run, as {not_run[0]}: let `{COMMAND}` go to its end")
    return outcomes


def shares_of(outcomes: Mapping[str, str]) -> dict[str, float]:
    """The share of each part's mutants that a test notices, in 0..1. Raises ValueError for a part without mutants."""
    counts, noticed = Counter[str](), Counter[str]()
    for name, outcome in outcomes.items():
        [part] = [part for part, prefix in PARTS.items() if name.startswith(prefix)]
        counts[part] += 1
        noticed[part] += outcome in _NOTICED
    missing = [part for part in PARTS if not counts[part]]
    if missing:
        raise ValueError(f"no mutants of {', '.join(missing)}: do PARTS and pyproject.toml name the same files?")
    return {part: noticed[part] / counts[part] for part in PARTS}


if __name__ == "__main__":
    main()
