"""The index of decisions names each decision once, with its number and title."""

import re
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "docs" / "decisions"
INDEX = (FOLDER / "README.md").read_text(encoding="utf-8")
DECISIONS = sorted(FOLDER.glob("[0-9]*.md"))


def test_the_index_names_every_decision_once_and_in_order() -> None:
    assert re.findall(r"\]\(([^)]+\.md)\)", INDEX) == [file.name for file in DECISIONS]


def test_the_index_has_a_line_of_its_own_for_each() -> None:
    rows = re.findall(r"^\| \[(\d+)\]\((\d+)[^)]*\) \| (.+) \|$", INDEX, re.MULTILINE)
    assert len(rows) == len(DECISIONS)
    for shown, number, text in rows:
        assert int(shown) == int(number)
        assert len(text) > 30, number


def test_every_decision_has_a_number_of_its_own_which_its_heading_repeats() -> None:
    numbers = [file.name.partition("-")[0] for file in DECISIONS]
    assert numbers == [f"{number:04}" for number in range(1, len(DECISIONS) + 1)]
    for file, number in zip(DECISIONS, numbers, strict=True):
        heading = file.read_text(encoding="utf-8").splitlines()[0]
        found = re.fullmatch(r"# (\d+)\. \S.*", heading)
        assert found is not None, heading
        assert int(found[1]) == int(number), heading
