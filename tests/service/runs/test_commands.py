"""What users may do, and what is rejected, on both kinds of database."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from sqlalchemy import event, update

from service.artifacts.layout import ArtifactLayout
from service.config.run import GenerationOverrides
from service.datasets.inspection import DatasetRequest
from service.errors import Conflict, InvalidRequest, NotFound
from service.store.schema.tables import DatasetRow
from tests.at_once import at_once
from tests.support.workbench import MakeConfig, Workbench
from workers.artifact_io import read_bytes
from workers.data.hashes import read_hashes
from workers.specs.datasets import DatasetManifest
from workers.specs.recipe import Recipe
from workers.specs.reports import FailureReason


def test_a_created_run_has_all_its_generations_planned(bench: Workbench, run_config: MakeConfig) -> None:
    run = bench.commands.create_run(run_config(generations=3, student_models=["large"]))

    assert run.state == "running"
    assert [view.plan.model for view in run.generation_details] == ["small", "large", "large", "large"]
    assert len({view.plan.seed for view in run.generation_details}) == 4
    assert bench.queries.get_run(run.id) == run


def test_a_dataset_too_large_to_be_compared_is_told_of(bench: Workbench, run_config: MakeConfig) -> None:
    config = run_config()
    with bench.database.write() as session:
        session.execute(update(DatasetRow).where(DatasetRow.id == config.datasets.labeled).values(hashed=False))

    events = bench.queries.list_events(bench.commands.create_run(config).id).items

    assert [event.kind for event in events] == ["images_not_compared", "run_created"]
    assert "too large to be hashed" in (events[0].message or "")


def test_a_run_of_a_teacher_alone_needs_no_students(bench: Workbench, run_config: MakeConfig) -> None:
    run = bench.commands.create_run(run_config(generations=0, student_models=[]))

    assert [view.plan.model for view in run.generation_details] == ["small"]


def test_the_same_key_and_body_make_one_run(bench: Workbench, run_config: MakeConfig) -> None:
    first = bench.commands.create_run(run_config(), "key-1")
    bench.play(bench.reconciler(), until=lambda _: True)
    again = bench.commands.create_run(run_config(), "key-1")

    assert again == first
    assert len(bench.queries.list_runs().items) == 1


def test_the_same_key_with_another_body_is_a_conflict(bench: Workbench, run_config: MakeConfig) -> None:
    bench.commands.create_run(run_config(), "key-1")

    with pytest.raises(Conflict, match="key-1"):
        bench.commands.create_run(run_config(seed=5), "key-1")


def test_a_refused_request_does_not_use_up_its_key(bench: Workbench, run_config: MakeConfig) -> None:
    with pytest.raises(InvalidRequest):
        bench.commands.create_run(run_config(teacher_model="huge"), "key-1")

    bench.commands.create_run(run_config(), "key-1")


@pytest.mark.parametrize("key", ["", "x" * 201])
def test_a_key_of_the_wrong_length_is_refused(bench: Workbench, run_config: MakeConfig, key: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        bench.commands.create_run(run_config(), key)

    assert caught.value.field == "Idempotency-Key"


def test_the_same_request_sent_many_times_at_once_is_carried_out_once(bench: Workbench, run_config: MakeConfig) -> None:
    answers = at_once([lambda: bench.commands.create_run(run_config(), "key-1")] * 4)

    [run] = bench.queries.list_runs().items
    assert [answer.id for answer in answers] == [run.id] * 4


def test_a_generation_is_added_to_a_run_that_succeeded(bench: Workbench, run_config: MakeConfig) -> None:
    run = bench.commands.create_run(run_config())
    bench.play_to_the_end(bench.reconciler())
    bench.clock.advance(60)

    overrides = GenerationOverrides(recipe=Recipe(steps=500), seed=9)
    extended = bench.commands.add_generation(run.id, overrides, "key-1")

    assert extended.state == "running"
    assert extended.finished_at is None
    plan = extended.generation_details[2].plan
    assert (plan.model, plan.recipe.steps, plan.seed) == ("large", 500, 9)
    assert bench.commands.add_generation(run.id, overrides, "key-1") == extended
    bench.play_to_the_end(bench.reconciler())
    assert bench.queries.get_run(run.id).state == "succeeded"
    assert [model.generation for model in bench.queries.list_models(run_id=run.id).items] == [2, 1, 0]


def test_a_generation_cannot_be_added_to_a_running_run(bench: Workbench, run_config: MakeConfig) -> None:
    run = bench.commands.create_run(run_config())

    with pytest.raises(Conflict, match="running"):
        bench.commands.add_generation(run.id, GenerationOverrides())


def test_an_added_generation_is_checked_like_the_others(bench: Workbench, run_config: MakeConfig) -> None:
    run = bench.commands.create_run(run_config())
    bench.play_to_the_end(bench.reconciler())

    for overrides, field in (
        (GenerationOverrides(student_model="huge"), "student_model"),
        (GenerationOverrides(student_model="small"), "student_model"),
        (GenerationOverrides(student_model="plain"), "student_model"),
    ):
        with pytest.raises(InvalidRequest) as caught:
            bench.commands.add_generation(run.id, overrides)
        assert caught.value.field == field
    assert bench.queries.get_run(run.id).state == "succeeded"


def test_a_student_cannot_be_added_where_there_are_no_unlabeled_images(
    bench: Workbench, run_config: MakeConfig
) -> None:
    without = {"labeled": "ds-labeled", "validation": "ds-validation", "test": "ds-test"}
    run = bench.commands.create_run(run_config(generations=0, student_models=[], datasets=without))
    bench.play_to_the_end(bench.reconciler())

    with pytest.raises(Conflict, match="unlabeled"):
        bench.commands.add_generation(run.id, GenerationOverrides(student_model="large"))


def test_cancelling_twice_is_no_error_and_a_finished_run_cannot_be_cancelled(
    bench: Workbench, run_config: MakeConfig
) -> None:
    run = bench.commands.create_run(run_config())
    assert bench.commands.cancel_run(run.id).state == "cancelling"
    assert bench.commands.cancel_run(run.id).state == "cancelling"
    bench.reconciler().tick()
    assert bench.commands.cancel_run(run.id).state == "cancelled"

    finished = bench.commands.create_run(run_config())
    bench.play_to_the_end(bench.reconciler())
    with pytest.raises(Conflict):
        bench.commands.cancel_run(finished.id)


def test_a_retry_keeps_what_has_succeeded_and_gives_new_attempts(bench: Workbench, run_config: MakeConfig) -> None:
    run = bench.commands.create_run(run_config())
    reconciler = bench.reconciler()
    bench.play(reconciler, until=lambda job_id: "g1-select" in job_id)
    bench.ray.write_failure(f"{run.id}-g1-select-a1", FailureReason.BAD_DATA, "nothing left")
    bench.ray.end(f"{run.id}-g1-select-a1", "FAILED")
    reconciler.tick()
    failed = bench.queries.get_run(run.id)
    assert failed.state == "failed"
    assert failed.state_reason == "generation 1, select: bad_data: nothing left"
    with pytest.raises(Conflict):
        bench.commands.cancel_run(run.id)

    retried = bench.commands.retry_run(run.id)

    assert (retried.state, retried.state_reason) == ("running", None)
    bench.play_to_the_end(reconciler)
    assert bench.queries.get_run(run.id).state == "succeeded"
    submitted = [body["submission_id"].removeprefix(f"{run.id}-") for body in bench.ray.submits]
    assert submitted == [
        "g0-train-a1",
        "g0-evaluate-a1",
        "g1-label-a1",
        "g1-select-a1",
        "g1-select-a2",
        "g1-train-a1",
        "g1-evaluate-a1",
    ]


def test_only_a_run_that_stopped_can_be_retried(bench: Workbench, run_config: MakeConfig) -> None:
    run = bench.commands.create_run(run_config())

    with pytest.raises(Conflict, match="running"):
        bench.commands.retry_run(run.id)


def test_commands_on_an_unknown_run_say_so(bench: Workbench) -> None:
    for command in (bench.commands.cancel_run, bench.commands.retry_run):
        with pytest.raises(NotFound):
            command("run-nowhere")
    with pytest.raises(NotFound):
        bench.commands.add_generation("run-nowhere", GenerationOverrides())


def make_image_folder(folder: Path) -> None:
    for name, color in (("cat", "red"), ("dog", "blue")):
        (folder / name).mkdir(parents=True)
        for number in range(2):
            data = io.BytesIO()
            Image.new("RGB", (8 + number, 8), color).save(data, format="PNG")
            (folder / name / f"{number}.png").write_bytes(data.getvalue())


def test_a_registered_dataset_has_its_manifest_and_hashes_on_file(bench: Workbench, tmp_path: Path) -> None:
    make_image_folder(tmp_path / "pets")
    request = DatasetRequest(name="pets", role="labeled", uri=str(tmp_path / "pets"))

    dataset = bench.dataset_commands.register(request, "key-1")

    assert (dataset.classes, dataset.rows, dataset.class_counts) == (["cat", "dog"], 4, {"cat": 2, "dog": 2})
    layout = ArtifactLayout(bench.settings.artifact_root)
    manifest = DatasetManifest.model_validate_json(read_bytes(layout.manifest(dataset.id)))
    assert (manifest.dataset_id, manifest.rows) == (dataset.id, 4)
    assert len(read_hashes(layout.hashes(dataset.id))) == 4
    assert bench.dataset_queries.get(dataset.id) == dataset
    assert bench.dataset_commands.register(request, "key-1") == dataset


def test_a_dataset_that_cannot_be_read_leaves_nothing_behind(bench: Workbench, tmp_path: Path) -> None:
    folders = sorted(Path(bench.settings.artifact_root, "datasets").iterdir())
    count = len(bench.dataset_queries.list().items)

    with pytest.raises(InvalidRequest) as caught:
        bench.dataset_commands.register(DatasetRequest(name="x", role="labeled", uri=str(tmp_path / "nowhere")))

    assert caught.value.field == "uri"
    assert sorted(Path(bench.settings.artifact_root, "datasets").iterdir()) == folders
    assert len(bench.dataset_queries.list().items) == count


def test_answers_survive_json(bench: Workbench, run_config: MakeConfig) -> None:
    run = bench.commands.create_run(run_config())

    assert type(run).model_validate_json(json.dumps(run.model_dump(mode="json"))) == run


def test_a_run_of_more_generations_is_written_with_no_more_statements(bench: Workbench, run_config: MakeConfig) -> None:
    inserts: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("INSERT"):
            inserts.append(statement)

    counts = []
    event.listen(bench.database.engine, "before_cursor_execute", note)
    for generations in (1, 5):
        inserts.clear()
        bench.commands.create_run(run_config(generations=generations))
        counts.append(len(inserts))
    event.remove(bench.database.engine, "before_cursor_execute", note)

    assert counts[0] == counts[1]
