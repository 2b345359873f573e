"""On a real Ray: what the whole run has measured, a search that is killed and continues, and an ablation."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.metadata import SESSION_START_INFO_TAG

from noisy_student.client import Client
from noisy_student.local.process_family import command_of, descendants
from noisy_student.local.ray_head import RayHead
from noisy_student.local.stack import LocalStack
from service.views.runs import RunView
from tests import at_once
from tests.end_to_end.conftest import has_ended, is_at, result_of, stages_of, wait_until
from workers.models.files import read_card
from workers.specs.search import COST_FILE, HEAT_MAP_FILE
from workers.specs.stages import RELIABILITY_FILE


@pytest.fixture
def another_ray() -> Iterator[None]:
    """A second Ray on this machine, so that a process that looks for "the" Ray finds two."""
    head = RayHead(num_cpus=1)
    head.make_folder()
    environment = {**os.environ, **head.head_environment()}
    try:
        with subprocess.Popen(head.command(), env=environment, stdout=subprocess.DEVNULL) as process:
            at_once.wait_until(lambda: is_there("raylet", process.pid), "the second Ray's raylet")
            yield
            process.terminate()
    finally:
        head.remove_folder()


def is_there(name: str, ancestor: int) -> bool:
    return any(Path(command_of(each).partition(" ")[0]).name == name for each in descendants(ancestor))


def result_in(run: RunView, generation: int, stage: str) -> dict[str, Any]:
    return next(result_of(s) for s in stages_of(run) if s.generation == generation and s.name == stage)


def test_robustness_is_measured_against_generation_0(whole_run: RunView) -> None:
    teacher, student = (result_in(whole_run, generation, "evaluate")["robustness"] for generation in (0, 1))
    assert teacher["reference"] == student["reference"] == f"{whole_run.id}-g0"
    assert teacher["corruptions"]["mean_corruption_error"] == teacher["stability"]["mean_flip_rate"] == 100
    assert student["corruptions"]["mean_corruption_error"] != 100
    assert student["corruptions"]["images"] == 60
    assert {attack["attack"] for attack in student["adversarial"]["attacks"]} == {"fgsm", "pgd"}
    assert result_in(whole_run, 1, "evaluate")["external"]["validation"]["images"] > 0


def test_the_gate_looked_at_the_validation_images(whole_run: RunView) -> None:
    teacher, student = (result_in(whole_run, generation, "evaluate")["validation"] for generation in (0, 1))
    # The validation set is an external set of this run, too.
    external = result_in(whole_run, 1, "evaluate")["external"]["validation"]
    assert [student["metrics"][name] for name in ("images", "top1", "top5")] == [
        external[name] for name in ("images", "top1", "top5")
    ]
    assert teacher["robustness"]["corruptions"]["mean_corruption_error"] == 100
    on_test = result_in(whole_run, 1, "evaluate")["robustness"]["corruptions"]["errors"]
    assert student["robustness"]["corruptions"]["errors"] != on_test
    assert student["robustness"]["stability"] is None, "no condition names the flip rate"
    generation = whole_run.generation_details[1]
    assert (generation.promoted, generation.gate_on) == (True, "validation")
    assert read_card(generation.model.uri).gate_on == "validation"


def test_the_labels_were_calibrated_and_the_diagram_is_served(whole_run: RunView, stack: LocalStack) -> None:
    calibration = result_in(whole_run, 1, "label")["calibration"]
    assert calibration["loss_after"] <= calibration["loss_before"]
    path = f"{stack.api_url}/runs/{whole_run.id}/generations/1/stages/label/pictures/{RELIABILITY_FILE}"
    picture = httpx.get(path, headers=stack.api_headers)
    assert (picture.status_code, picture.headers["content-type"]) == (200, "image/svg+xml")


def test_the_student_ended_at_the_larger_size(whole_run: RunView) -> None:
    result = result_in(whole_run, 1, "train")
    assert (result["train_image_size"], result["test_image_size"], result["steps"]) == (28, 32, 50)
    card = read_card(whole_run.generation_details[1].model.uri)
    assert (card.image_size, card.train_image_size) == (32, 28)


def test_a_search_with_several_workers_a_trial_that_is_killed_goes_on_from_its_finished_trials(
    whole_run: RunView, client: Client, stack: LocalStack, another_ray: None
) -> None:
    search = client.searches.create(
        {
            "run_id": whole_run.id,
            "generation": 1,
            "settings": {
                "space": {
                    "rand_augment_n": {"low": 1, "high": 2},
                    "rand_augment_m": {"low": 0, "high": 12, "step": 4},
                    "models": ["test_resnet", "test_efficientnet"],
                },
                "trials": 3,
                "steps_fraction": 0.5,
                "max_parallel": 1,
                "workers_per_trial": 2,
            },
        }
    )
    wait_until(client, search.id, is_at("g1-search", done=1))
    ended_before = {t.number: t for t in client.searches.get(search.id).trials if t.state != "running"}
    os.kill(the_driver_of(stack.pid_of("ray"), search.id), signal.SIGKILL)
    run = wait_until(client, search.id, has_ended)
    assert run.state == "succeeded", run.state_reason
    assert len(stages_of(run)[0].attempts) == 2

    found = client.searches.get(search.id)
    assert [trial.number for trial in found.trials] == [0, 1, 2]
    assert {number: found.trials[number] for number in ended_before} == ended_before
    assert found.trials[0].parameters.rand_augment_m == 9
    assert (found.trials[0].state, found.trials[0].steps) == ("finished", 20)
    assert found.outcome.steps_run <= found.outcome.steps_of_full_trials
    for number in range(3):  # also of the trials that the killed driver had begun
        trial = EventAccumulator(str(Path(stages_of(run)[0].folder_uri) / "tensorboard" / f"{number:04d}"))
        trial.Reload()
        steps = [event.step for event in trial.Scalars("loss")]
        assert steps == sorted(set(steps))
        assert steps[-1] >= found.trials[number].steps  # one that is stopped early takes some steps more
        assert SESSION_START_INFO_TAG in trial.summary_metadata
    assert [Path(path).name for path in found.pictures] == [HEAT_MAP_FILE, COST_FILE]
    for path in found.pictures:
        assert "<svg" in httpx.get(stack.api_url + path, headers=stack.api_headers).text


def test_an_ablation_compares_its_variants_with_the_full_recipe(whole_run: RunView, client: Client) -> None:
    ablation = client.ablations.create(
        whole_run.id,
        {
            "generation": 1,
            "settings": {
                "variants": ["no_noise", "no_filter", "teacher_initialisation", "ratio_3"],
                "seeds": 1,
                "steps_fraction": 0.25,
            },
        },
    )
    run = wait_until(client, ablation.id, has_ended)
    assert run.state == "succeeded", run.state_reason
    outcome = client.ablations.get(ablation.id).outcome
    assert [line.variant for line in outcome.lines] == [
        "full",
        "no_noise",
        "no_filter",
        "teacher_initialisation",
        "ratio_3",
    ]
    assert {line.variant: line.same_as for line in outcome.lines}["ratio_3"] == "full"
    teacher = whole_run.generation_details[0].model
    assert teacher is not None
    assert teacher.validation_top1 is not None
    assert outcome.on == "validation"
    assert outcome.teacher_error == pytest.approx(1 - teacher.validation_top1)


def the_driver_of(ray_pid: int, run_id: str) -> int:
    for process in descendants(ray_pid):
        command = command_of(process)
        if "workers.entrypoint" in command and run_id in command and process.name() != "sh":  # Ray starts it by a shell
            return process.pid
    raise pytest.fail("the job's driver was not found")
