"""`python -m benchmarks.house.coverage` records the result of the last `make coverage`."""

import json
from pathlib import Path

import coverage

from benchmarks.results import row, save

COMMAND = "make coverage"
ROOT = Path(__file__).parents[2]
REPORT = ROOT / "build" / "coverage" / "coverage.json"


def main() -> None:
    """Prints and saves the share of statements and branches that the unit tests run."""
    share = share_of(json.loads(REPORT.read_text(encoding="utf-8")))
    floor = coverage.Coverage(config_file=str(ROOT / "pyproject.toml")).get_option("report:fail_under")
    print(f"{share:.4f} of statements and branches; the floor is {floor} %")
    save([row("house.coverage", [share], "share", f"statements and branches; the floor: {floor} %", COMMAND)])


def share_of(report: dict[str, dict[str, float]]) -> float:
    """The covered share of statements and branches in coverage's JSON report, in 0..1.

    Raises ValueError if branches were not measured.
    """
    totals = report["totals"]
    if "num_branches" not in totals:
        raise ValueError(f"{REPORT} has no branches: [tool.coverage.run] in pyproject.toml has to say branch = true")
    return totals["percent_covered"] / 100


if __name__ == "__main__":
    main()
