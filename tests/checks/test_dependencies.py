"""The list of vulnerable versions, and its comparison with what is pinned."""

import pytest
from packaging.version import Version

from checks.dependencies import CONSTRAINTS, LIST, find_vulnerable, read_constraints, read_vulnerabilities

KNOWN = read_vulnerabilities(LIST.read_text(encoding="utf-8"))


def test_nothing_that_is_pinned_is_on_the_list() -> None:
    assert find_vulnerable(read_constraints(CONSTRAINTS.read_text(encoding="utf-8")), KNOWN) == []


def test_a_vulnerable_version_is_named_with_its_advisory() -> None:
    [line] = find_vulnerable({"torch": Version("2.5.1")}, KNOWN)
    assert line.startswith("torch 2.5.1: CVE-2025-32434")


def test_every_package_of_the_list_is_one_that_is_pinned() -> None:
    pinned = read_constraints(CONSTRAINTS.read_text(encoding="utf-8"))
    assert {each.package for each in KNOWN} - set(pinned) == set()


def test_a_line_that_pins_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="pins no version"):
        read_constraints("torch>=2\n")
