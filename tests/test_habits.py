"""What keeps the repository in order: make targets, pre-commit hooks, the forge's workflow, the single version."""

import os
import re
import shutil
import subprocess
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml
from fastapi import FastAPI
from packaging.specifiers import SpecifierSet
from typer.testing import CliRunner

from noisy_student.cli.main import app as commands

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
HOOKS = [
    hook
    for repo in yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    for hook in repo["hooks"]
]
JOBS: dict[str, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))["jobs"]


def phony_targets() -> set[str]:
    """All targets that the Makefile declares."""
    joined = MAKEFILE.replace("\\\n", " ")
    return {name for line in re.findall(r"^\.PHONY:(.*)$", joined, re.MULTILINE) for name in line.split()}


def recipe(target: str) -> list[str]:
    """The commands of a target."""
    found = re.search(rf"^{re.escape(target)}:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    assert found is not None, target
    return [line.strip() for line in found[1].splitlines()]


def test_make_help_has_a_line_for_every_target() -> None:
    make = shutil.which("make")
    if make is None:
        pytest.skip("make is not installed")
    # Calls it as a person would, even if make started the suite itself.
    environment = {
        name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")
    }
    done = subprocess.run(
        [make, "help"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    shown = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())

    assert set(shown) == phony_targets()
    assert len(shown) == len(done.stdout.splitlines()), "a target is listed twice"
    assert [name for name, text in shown.items() if len(f"{name:22} {text}") > 110] == []


@pytest.mark.parametrize("tool", ["ruff check", "ruff format --check", "mypy", "lint-imports", "codespell"])
def test_what_runs_before_a_commit_is_what_make_lint_runs(tool: str) -> None:
    assert any(hook["entry"].startswith(f".venv/bin/{tool}") for hook in HOOKS)
    assert any(line.startswith(f"$(BIN)/{tool}") for line in recipe("lint"))


def test_each_hook_is_a_tool_of_the_dev_extra_and_downloads_nothing() -> None:
    named = {re.split(r"[><=]", each)[0] for each in PYPROJECT["project"]["optional-dependencies"]["dev"]}
    for hook in HOOKS:
        tool = hook["entry"].split()[0].removeprefix(".venv/bin/")
        assert hook["language"] == "system", hook["id"]
        assert {"lint-imports": "import-linter"}.get(tool, tool) in named, hook["id"]


def test_the_workflow_tests_every_python_that_is_allowed_and_calls_targets_that_there_are() -> None:
    pythons = JOBS["unit-tests"]["strategy"]["matrix"]["python"]
    allowed = SpecifierSet(PYPROJECT["project"]["requires-python"])
    assert pythons == ["3.11", "3.12", "3.13"]
    assert all(allowed.contains(python) for python in pythons)
    assert not allowed.contains("3.10")

    called = {name for job in JOBS.values() for step in job["steps"] for name in _make_targets(step.get("run", ""))}
    assert called >= {"lint", "test-unit", "coverage", "docs", "mutants"}
    assert called <= phony_targets()


def test_one_job_a_week_takes_the_newest_versions() -> None:
    installs = [step["run"] for step in JOBS["newest-versions"]["steps"] if "pip install" in step.get("run", "")]
    assert len(installs) == 1
    assert "constraints" not in installs[0]


def test_every_job_ends_by_itself() -> None:
    assert [name for name, job in JOBS.items() if not job.get("timeout-minutes")] == []


def test_the_version_is_written_once_and_everybody_says_it(app: FastAPI) -> None:
    written = PYPROJECT["project"]["version"]
    assert app.openapi()["info"]["version"] == version("noisy-student") == written
    shown = CliRunner().invoke(commands, ["--version"])
    assert (shown.exit_code, shown.stdout) == (0, f"noisy-student {written}\n")

    sources = [
        file for package in ("api", "noisy_student", "service", "workers") for file in (ROOT / package).rglob("*.py")
    ]
    assert [str(file) for file in sources if f'"{written}"' in file.read_text(encoding="utf-8")] == []


def test_the_change_log_begins_with_what_is_not_released_and_has_this_version() -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert headings[1].split()[0] == PYPROJECT["project"]["version"]


def _make_targets(command: str) -> list[str]:
    return re.findall(r"^make ([a-z-]+)", command, re.MULTILINE)
