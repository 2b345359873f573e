"""The benchmark of RandAugment's scales: its rows name the command that measured them."""

import json

import pytest

from benchmarks.method.scales import Budget, Candidates, command, parser
from benchmarks.results import REPORT_PATH, RESULTS_PATH, report

MEASURED: dict[str, Candidates] = {
    "digits": {"authors": (3, 5, 10, 15), "torchvision": (5, 9, 15, 21)},
    "fashion": {"authors": (3, 5, 10), "torchvision": (5, 9, 15)},
}


@pytest.mark.parametrize("data", MEASURED)
def test_the_command_of_a_row_has_every_option_that_it_was_measured_with(data: str) -> None:
    candidates = MEASURED[data]
    said = command(data, candidates, (0, 1), Budget(share=0.25, students=1))
    asked = parser().parse_args(said.split()[3:])
    assert (asked.data, asked.share, asked.students, asked.seeds) == ([data], 0.25, 1, [0, 1])
    assert (asked.authors, asked.torchvision) == (list(candidates["authors"]), list(candidates["torchvision"]))
    rows = {each["name"]: each for each in json.loads(RESULTS_PATH.read_text(encoding="utf-8"))}
    row = rows[f"method.{data}_authors_minus_torchvision"]
    assert row["command"] == said
    assert len(row["runs"]) == len(asked.seeds)


def test_the_report_is_what_the_rows_say() -> None:
    rows = json.loads(RESULTS_PATH.read_text(encoding="utf-8"))
    assert REPORT_PATH.read_text(encoding="utf-8") == report(rows)
