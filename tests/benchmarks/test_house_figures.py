"""How the shares of killed mutants and of covered branches are counted."""

import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

from benchmarks.house.coverage import share_of
from benchmarks.house.mutants import PARTS, outcomes_of, shares_of

ROOT = Path(__file__).parents[2]
LINES = """
    service.lifecycle.decide.x_decide__mutmut_1: killed
    service.lifecycle.decide.x_decide__mutmut_2: survived
    service.lifecycle.teachers.x_teacher__mutmut_1: timeout
    service.lifecycle.run_rules.x_rules_of__mutmut_1: no tests
    service.retention.decisions.x_next_look__mutmut_1: killed
    service.scheduling.queue.x_places__mutmut_1: killed
    workers.selection.selector.xǁRulesǁread__mutmut_1: suspicious
""".splitlines()


def test_a_mutant_that_no_test_runs_counts_as_one_that_survived() -> None:
    shares = shares_of(outcomes_of(LINES))

    assert shares == {"lifecycle": 0.5, "retention.decisions": 1.0, "scheduling.queue": 1.0, "selection": 0.0}


def test_a_run_that_did_not_end_gives_no_share() -> None:
    with pytest.raises(ValueError, match="1 mutants were not run"):
        outcomes_of([*LINES, "    service.lifecycle.decide.x_decide__mutmut_3: not checked"])


def test_a_part_without_mutants_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="do PARTS and"):
        shares_of(outcomes_of(LINES[:4]))


def test_the_parts_that_are_counted_are_those_that_mutmut_changes() -> None:
    mutated = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mutmut"]["only_mutate"]
    for pattern in mutated:
        files = [file for file in map(str, ROOT.rglob("*.py")) if fnmatch(file, f"{ROOT}/{pattern}")]
        assert files, f"{pattern} names no file"
        module = pattern.removesuffix(".py").replace("/", ".")
        assert any(f"{module}.".startswith(prefix) for prefix in PARTS.values()), pattern


def test_coverage_is_that_of_statements_and_branches() -> None:
    assert share_of({"totals": {"percent_covered": 91.5, "num_branches": 12}}) == pytest.approx(0.915)
    with pytest.raises(ValueError, match="branch = true"):
        share_of({"totals": {"percent_covered": 91.5}})
