"""The live view follows a run to its end."""

import io
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi.testclient import TestClient

from noisy_student.cli.live_view import result_table, watch_run
from noisy_student.cli.terminal import Screen
from noisy_student.client import Client
from noisy_student.local.demo.report import error_reduction
from tests.support.application import StubRay


@pytest.fixture
def watcher(server: str) -> Iterator[Client]:
    with Client(server) as watcher:
        yield watcher


@pytest.fixture
def at_each_pause(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
    """Runs a function instead of each pause between two polls of the run."""

    def do(something: Callable[[], None]) -> None:
        monkeypatch.setattr("noisy_student.transport.time", SimpleNamespace(sleep=lambda _seconds: something()))

    return do


def _console(terminal: bool = False) -> tuple[Screen, io.StringIO]:
    screen = io.StringIO()
    return Screen(file=screen, force_terminal=terminal, width=170, color_system=None), screen


def test_elsewhere_than_on_a_terminal_each_change_is_told_once(
    watcher: Client, run_id: str, reconcile: Callable[[], None], at_each_pause: Callable[..., None]
) -> None:
    at_each_pause(reconcile)
    console, screen = _console()
    ended = watch_run(watcher, run_id, console)
    assert ended.state == "succeeded"
    lines = screen.getvalue().splitlines()
    assert len(lines) == len(set(lines))
    assert lines[0] == "generation 0 train: started"
    assert "generation 0: test accuracy 80.0 %" in lines
    assert lines[-1] == "cats and dogs: succeeded"


def test_on_a_terminal_stages_under_way_have_bars_and_numbers(
    watcher: Client, run_id: str, ray: StubRay, reconcile: Callable[[], None], at_each_pause: Callable[..., None]
) -> None:
    at_each_pause(_interrupt)
    ray.holding = True
    reconcile()
    console, screen = _console(terminal=True)
    with pytest.raises(KeyboardInterrupt):
        watch_run(watcher, run_id, console)
    shown = screen.getvalue()
    for part in ("generation 0 train", "50/100 steps", "1,234 images/s", "loss 0.250", "accuracy 87.5 %", "━"):
        assert part in shown


def _interrupt() -> None:
    raise KeyboardInterrupt


def test_the_result_table_has_a_line_for_each_generation(watcher: Client, finished_run: str) -> None:
    console, screen = _console()
    console.print(result_table(watcher.runs.get(finished_run)))
    rows = [line for line in screen.getvalue().splitlines() if "test_resnet" in line]
    assert [row.split()[0] for row in rows] == ["0", "1", "2"]
    assert "80.0 %" in rows[0]
    assert "5/6" in rows[1]


def test_the_result_table_fits_into_80_columns(watcher: Client, finished_run: str) -> None:
    run = watcher.runs.get(finished_run)
    screen = io.StringIO()
    Screen(file=screen, width=80, color_system=None).print(result_table(run))
    rows = [line.split() for line in screen.getvalue().splitlines() if "test_resnet" in line]
    assert [row[:2] for row in rows] == [["0", "test_resnet"], ["1", "test_resnet"], ["2", "test_resnet"]]
    by_name = {stage.name: stage.times for stage in run.generation_details[1].stages}
    times = [by_name[name] for name in ("train", "label", "select", "evaluate")]  # in the order of the columns
    seconds = [f"{each.work_seconds:.0f}+{each.overhead_seconds:.0f}" for each in times if each is not None]
    assert len(seconds) == 4
    assert rows[1][2:] == ["373k", "90.0", "%", "50.0", "%", "5/6", *seconds]


def test_error_reduction_is_the_share_of_the_first_teachers_errors(watcher: Client, finished_run: str) -> None:
    run = watcher.runs.get(finished_run)
    reductions = [error_reduction(run, generation) for generation in run.generation_details]
    assert reductions[0] is None
    assert reductions[1:] == [pytest.approx(0.5), pytest.approx(0.75)]


def test_markup_in_a_name_is_shown_as_it_is(client: TestClient, watcher: Client, run_config: dict[str, Any]) -> None:
    run_id = client.post("/runs", json={**run_config, "name": "[red]cats[/oops]"}).json()["id"]
    console, screen = _console()
    console.print(result_table(watcher.runs.get(run_id)))
    assert "[red]cats[/oops]" in screen.getvalue()
