"""`python -m checks.dependencies`: compares constraints.txt with the vulnerable versions that are written down here.

It needs no network, and knows only what is in vulnerable_versions.toml: a guard against going back to a version that
is known to be bad. `make audit` asks PyPI's advisory database about everything, where that can be reached.
"""

import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

LIST = Path(__file__).with_name("vulnerable_versions.toml")
CONSTRAINTS = Path(__file__).parents[1] / "constraints.txt"


@dataclass(frozen=True)
class Vulnerability:
    """Versions of one package with a published flaw."""

    package: str
    versions: SpecifierSet
    advisory: str
    about: str


def read_vulnerabilities(text: str) -> list[Vulnerability]:
    """The list, as it is in the file."""
    return [
        Vulnerability(
            canonicalize_name(entry["package"]), SpecifierSet(entry["versions"]), entry["advisory"], entry["about"]
        )
        for entry in tomllib.loads(text)["vulnerability"]
    ]


def read_constraints(text: str) -> dict[str, Version]:
    """The pinned version of each package. Raises ValueError for a line that pins none."""
    pinned: dict[str, Version] = {}
    for line in filter(None, (line.partition("#")[0].strip() for line in text.splitlines())):
        requirement = Requirement(line)
        versions = [each.version for each in requirement.specifier if each.operator == "=="]
        if len(versions) != 1:
            raise ValueError(f"constraints.txt: {line!r} pins no version")
        pinned[canonicalize_name(requirement.name)] = Version(versions[0])
    return pinned


def find_vulnerable(pinned: dict[str, Version], known: list[Vulnerability]) -> list[str]:
    """One line for each pinned version that is on the list."""
    return [
        f"{each.package} {pinned[each.package]}: {each.advisory}, {each.about}"
        for each in known
        if each.package in pinned and each.versions.contains(pinned[each.package], prereleases=True)
    ]


def main() -> None:
    """Exit code 1 where something is found."""
    known = read_vulnerabilities(LIST.read_text(encoding="utf-8"))
    pinned = read_constraints(CONSTRAINTS.read_text(encoding="utf-8"))
    found = find_vulnerable(pinned, known)
    print("\n".join(found) or f"{len(pinned)} pinned packages, none on the list of {len(known)} known flaws")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
