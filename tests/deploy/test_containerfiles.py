"""The Containerfiles: what hadolint finds, and what the images promise."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.deploy.places import CHART, CONTAINERFILES, REPOSITORY
from tests.deploy.tools import hadolint, run

each_file = pytest.mark.parametrize("file", CONTAINERFILES, ids=lambda file: file.stem)


def test_there_is_one_for_the_control_plane_and_one_for_ray() -> None:
    assert [file.stem for file in CONTAINERFILES] == ["control-plane", "worker"]


@each_file
def test_hadolint_finds_nothing(file: Path) -> None:
    done = run(hadolint(), "--failure-threshold", "info", file)
    assert done.returncode == 0, done.stdout


def test_hadolint_would_find_something(tmp_path: Path) -> None:
    file = tmp_path / "Containerfile"
    file.write_text("FROM debian\nRUN apt-get install curl\nUSER root\n", encoding="utf-8")
    assert run(hadolint(), file).returncode != 0


@each_file
def test_an_image_runs_as_nobody_in_particular_says_its_health_and_has_the_pinned_versions(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert re.findall(r"^USER (\S+)$", text, re.MULTILINE)[-1] == "10001:10001"
    assert re.search(r"^HEALTHCHECK .*?CMD \[", text, re.MULTILINE | re.DOTALL)
    constraints = "constraints.txt" if file.stem == "control-plane" else "of-workers.txt"
    assert f"--constraint {constraints}" in text
    assert re.search(r"^ARG BASE=\S+$", text, re.MULTILINE)
    assert '".[server]"' in text if file.stem == "control-plane" else '".[${EXTRAS}]"' in text
    assert file.stem == "control-plane" or "\nARG EXTRAS=worker\n" in text


def test_the_workers_image_leaves_out_the_one_pin_that_the_control_plane_alone_needs() -> None:
    text = next(file for file in CONTAINERFILES if file.stem == "worker").read_text(encoding="utf-8")
    assert "grep --invert-match '^cachetools==' constraints.txt > of-workers.txt" in text
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    using = [
        name for name, needed in project["optional-dependencies"].items() if any("cachetools>" in e for e in needed)
    ]
    assert using == ["server"]


@each_file
def test_what_an_image_copies_is_let_through_by_dockerignore(file: Path) -> None:
    let_through = set(re.findall(r"^!(\S+)$", (REPOSITORY / ".dockerignore").read_text(), re.MULTILINE))
    copied = [
        name
        for line in re.findall(r"^COPY (?!--from)(.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
        for name in line.split()[:-1]
    ]
    assert set(copied) == let_through
    assert [name for name in copied if not (REPOSITORY / name).exists()] == []


def test_chart_package_and_ray_have_one_version_each() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    chart, values = ((CHART / name).read_text(encoding="utf-8") for name in ("Chart.yaml", "values.yaml"))
    assert f'appVersion: "{project["version"]}"' in chart
    (ray,) = re.findall(r"^ray==(.+)$", (REPOSITORY / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert f'version: "{ray}"' in values
