"""`python -m benchmarks.house.autoscale [SCENARIO ...]`: how fast a rehearsed cluster grows and shrinks.

Plays one run from zero nodes to zero, then each scenario of tests/rehearsal/scenarios.py on the same cluster. Given
names play only those, and save no rows. Needs root, for a network namespace.
"""

import argparse
import sys

from benchmarks.results import row, save
from tests.rehearsal.rehearsal import Rehearsal
from tests.rehearsal.scenarios import SCENARIOS, Scenario, play, with_datasets
from tests.rehearsal.small_runs import small_run
from tests.rehearsal.watch import Outcome
from workers.specs.reports import WaitKind

IDLE_SECONDS = 12
_POD_WAIT_SECONDS = 40
COMMAND = "make benchmark-autoscale"
_UNDISTURBED = Scenario(lambda datasets: [small_run(datasets)], ())


def main() -> int:
    """Plays the scenarios, saves the rows, and returns 1 if something was lost or done twice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenarios", nargs="*", help=f"of {', '.join(map(repr, SCENARIOS))}")
    names = parser.parse_args().scenarios
    with Rehearsal(idle_seconds=IDLE_SECONDS, pod_wait_seconds=_POD_WAIT_SECONDS) as rehearsal:
        datasets = with_datasets(rehearsal)
        undisturbed = play(rehearsal, _UNDISTURBED, datasets)
        grown = seconds_to_two(undisturbed.outcome)
        print(f"0 to 2 nodes in {grown:.1f} s, back to 0 after {undisturbed.zero_after_seconds:.1f} s", flush=True)
        complaints = {"undisturbed": undisturbed.complaints}
        for name in names or SCENARIOS:
            complaints[name] = play(rehearsal, SCENARIOS[name], datasets).complaints
            print(f"{name}: {complaints[name] or 'nothing lost, nothing doubled'}", flush=True)
    bad = sum(1 for each in complaints.values() if each)
    if not names:
        joined = "s from the first wait for two nodes until both had joined"
        shrunk = f"s from the end of the last work; idle timeout {IDLE_SECONDS} s"
        save(
            [
                row("autoscale.zero_to_two_seconds", [grown], joined, "", COMMAND),
                row("autoscale.back_to_zero", [undisturbed.zero_after_seconds], shrunk, "", COMMAND),
                row("autoscale.faults", [len(SCENARIOS)], "rounds", "", COMMAND),
                row("autoscale.lost_or_doubled", [bad], "rounds", "goal: 0", COMMAND),
            ]
        )
    return 1 if bad else 0


def seconds_to_two(outcome: Outcome) -> float:
    """How long the first training, which needs two nodes, said that a node was coming."""
    sights = outcome.of("gen-0/train")
    first = next(each for each in sights if each.waiting is WaitKind.NODE_COMING)
    there = next(each for each in sights if each.seconds > first.seconds and each.waiting is not WaitKind.NODE_COMING)
    return there.seconds - first.seconds


if __name__ == "__main__":
    sys.exit(main())
