"""Retention on both kinds of database and real files: what is needed survives whatever happens."""

import json
from pathlib import Path
from typing import Any

import pytest

from service.config.policies import Artifact
from service.config.run import GenerationOverrides, RunConfig
from service.config.studies import AblationRequest
from service.errors import Conflict, NotFound
from service.retention.collector import ClaimLost, Collector
from service.retention.files import collect_files
from tests.support.workbench import MakeConfig, Workbench
from workers.artifact_io import delete_if_there
from workers.specs.checkpoint import CheckpointNote

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
DAY_SECONDS = 86_400.0


@pytest.fixture
def finished(bench: Workbench, run_config: MakeConfig) -> str:
    """A run of two students, two days after its end, with the files that its stages would have left."""
    run_id: str = bench.commands.create_run(run_config(generations=2)).id
    bench.play_to_the_end(bench.reconciler())
    for generation in (0, 1, 2):
        write_files(bench, run_id, generation)
    bench.clock.advance(2 * DAY_SECONDS)
    return run_id


def stage_folder(bench: Workbench, run_id: str, generation: int, stage: str) -> Path:
    return Path(bench.settings.artifact_root) / "runs" / run_id / f"gen-{generation}" / stage


def write_files(bench: Workbench, run_id: str, generation: int) -> None:
    train = stage_folder(bench, run_id, generation, "train")
    (train / "model.safetensors").write_bytes(b"weights")
    for number, score in enumerate((0.5, 0.9, 0.7, 0.8)):
        checkpoint = train / "checkpoints" / f"checkpoint_{number}"
        checkpoint.mkdir(parents=True)
        (checkpoint / "training_state.pt").write_bytes(b"state")
        note = CheckpointNote(step=number, validation_top1=score)
        (checkpoint / "checkpoint.json").write_text(note.model_dump_json())
    if generation:
        for stage in ("label", "select"):
            folder = stage_folder(bench, run_id, generation, stage)
            (folder / "part-00000.parquet").write_bytes(f"{stage} of {generation}".encode())
            (folder / "part-00001.parquet").write_bytes(b"more")
        quarantine = stage_folder(bench, run_id, generation, "label") / "quarantine"
        quarantine.mkdir()
        (quarantine / "part-00000.parquet").write_bytes(b"why it is broken")
        (stage_folder(bench, run_id, generation, "label") / ".part-00000.parquet.0a1b.tmp").write_bytes(b"half")


def collector(bench: Workbench) -> Collector:
    return bench.reconciling().collector


def names(bench: Workbench, run_id: str, generation: int, stage: str, pattern: str) -> list[str]:
    folder = stage_folder(bench, run_id, generation, stage)
    return sorted(path.relative_to(folder).as_posix() for path in folder.glob(pattern))


def test_superseded_labels_and_surplus_checkpoints_go_and_all_else_stays(bench: Workbench, finished: str) -> None:
    collector(bench).tick()

    assert names(bench, finished, 1, "label", "*.parquet") == []
    assert names(bench, finished, 1, "select", "*.parquet") == []
    assert names(bench, finished, 2, "label", "*.parquet") == ["part-00000.parquet", "part-00001.parquet"]
    for generation in (0, 1, 2):
        assert names(bench, finished, generation, "train", "checkpoints/*") == [
            "checkpoints/checkpoint_1",  # the best
            "checkpoints/checkpoint_3",  # the last
        ]
        assert names(bench, finished, generation, "train", "model.safetensors") == ["model.safetensors"]
    assert names(bench, finished, 1, "label", "quarantine/*") == ["quarantine/part-00000.parquet"]
    kept = ["collected-labels.json", "collected-scratch.json", "result.json"]
    assert names(bench, finished, 1, "label", "*.json") == kept
    assert names(bench, finished, 1, "label", ".*") == []


@on_sqlite
def test_events_and_lineage_say_what_went(bench: Workbench, finished: str) -> None:
    collector(bench).tick()

    told = [event for event in bench.queries.list_events(finished, 200).items if event.kind == "artifacts_collected"]
    assert ("labels: 2 file(s), 14 bytes", 1, "label") in [(e.message, e.generation, e.stage) for e in told]
    lineage = bench.services.lineage.model_lineage(f"{finished}-g1")
    [labels] = [each for each in lineage.stages[0].collected if each.artifact == "labels"]
    assert (labels.files, labels.bytes) == (2, 14)
    inventory = json.loads((stage_folder(bench, finished, 1, "label") / "collected-labels.json").read_text())
    assert [(file["name"], file["bytes"]) for file in inventory["files"]] == [
        ("part-00000.parquet", 10),
        ("part-00001.parquet", 4),
    ]
    assert labels.digest
    assert all(len(file["digest"]) == 32 for file in inventory["files"])


@on_sqlite
def test_nothing_goes_of_a_run_that_ended_a_moment_ago(bench: Workbench, finished: str) -> None:
    bench.clock.advance(-2 * DAY_SECONDS + 60)

    collector(bench).tick()

    assert len(names(bench, finished, 1, "label", "*.parquet")) == 2


@on_sqlite
def test_what_a_kept_model_came_from_stays(bench: Workbench, finished: str) -> None:
    retention = bench.services.retention
    assert retention.set_kept(f"{finished}-g2", True).kept

    collector(bench).tick()

    assert len(names(bench, finished, 1, "label", "*.parquet")) == 2
    assert len(names(bench, finished, 1, "train", "checkpoints/*")) == 4
    assert bench.queries.get_model(f"{finished}-g2").kept
    retention.set_kept(f"{finished}-g2", False)
    bench.clock.advance(bench.settings.retention.interval_seconds)
    collector(bench).tick()
    assert names(bench, finished, 1, "label", "*.parquet") == []


def test_labels_that_an_ablation_reads_stay_until_it_has_succeeded(bench: Workbench, finished: str) -> None:
    bench.study_commands.create_ablation(finished, AblationRequest(generation=1))
    at_work = collector(bench)

    at_work.tick()
    assert len(names(bench, finished, 1, "label", "*.parquet")) == 2

    bench.play_to_the_end(bench.reconciler())
    bench.clock.advance(bench.settings.retention.interval_seconds)
    at_work.tick()
    assert names(bench, finished, 1, "label", "*.parquet") == []


@on_sqlite
def test_an_ablation_of_labels_that_are_gone_is_refused(bench: Workbench, finished: str) -> None:
    collector(bench).tick()

    with pytest.raises(Conflict, match="collected by retention"):
        bench.study_commands.create_ablation(finished, AblationRequest(generation=1))
    bench.study_commands.create_ablation(finished, AblationRequest(generation=2))


@on_sqlite
def test_a_run_that_goes_on_keeps_what_its_next_generation_needs(bench: Workbench, finished: str) -> None:
    bench.commands.add_generation(finished, GenerationOverrides())
    reconciler = bench.reconciler()
    bench.play(reconciler, until=lambda job_id: job_id.endswith("g3-train-a1"))
    write_files_of_labeling = stage_folder(bench, finished, 3, "label") / "part-00000.parquet"
    write_files_of_labeling.write_bytes(b"labels in use")
    bench.clock.advance(1)

    collector(bench).tick()

    assert write_files_of_labeling.exists()
    assert names(bench, finished, 2, "label", "*.parquet") == []  # superseded, and no stage in flight reads it
    assert names(bench, finished, 2, "train", "model.safetensors") == ["model.safetensors"]
    bench.play_to_the_end(reconciler)
    assert bench.queries.get_run(finished).state == "succeeded"


@on_sqlite
def test_a_collector_that_died_between_two_deletions_is_followed_by_one_that_finishes(
    bench: Workbench, finished: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    deleted: list[str] = []

    def die_at_the_third(filesystem: Any, path: str) -> None:
        if len(deleted) == 2:
            raise SystemExit
        deleted.append(path)
        delete_if_there(filesystem, path)

    monkeypatch.setattr("service.retention.files.delete_if_there", die_at_the_third)
    with pytest.raises(SystemExit):
        collector(bench).tick()
    monkeypatch.setattr("service.retention.files.delete_if_there", delete_if_there)
    left = sorted(Path(bench.settings.artifact_root).rglob("collected-*.json"))
    assert left, "the list is on file before the first deletion"
    before = left[0].read_bytes()

    bench.clock.advance(3600)
    for _ in range(3):
        collector(bench).tick()

    assert left[0].read_bytes() == before
    assert names(bench, finished, 1, "label", "*.parquet") == []
    lineage = bench.services.lineage.model_lineage(f"{finished}-g2")
    assert lineage.teacher is not None
    collected = [each for stage in lineage.teacher.stages for each in stage.collected]
    assert all(each.collected_at is not None for each in collected)
    files_of = {each.artifact: each.files for each in collected}
    assert files_of == {"labels": 2, "selection": 2, "checkpoints": 4, "scratch": 1}


def test_two_collectors_at_once_do_it_once(bench: Workbench, finished: str) -> None:
    one, other = collector(bench), collector(bench)
    for _ in range(2):
        one.tick()
        other.tick()

    told = [event for event in bench.queries.list_events(finished, 200).items if event.kind == "artifacts_collected"]
    assert len({(event.generation, event.stage, event.message) for event in told}) == len(told) == 7


@on_sqlite
def test_the_plan_says_what_would_go_and_changes_nothing(bench: Workbench, finished: str) -> None:
    retention = bench.services.retention

    plan = {(each.generation, each.artifact): each for each in retention.plan(run_id=finished).items}

    labels = plan[(1, Artifact.LABELS)]
    assert (labels.collect, labels.files, labels.bytes) == (True, 2, 14)
    assert (plan[(2, Artifact.LABELS)].collect, plan[(2, Artifact.LABELS)].files) == (False, None)
    assert len(names(bench, finished, 1, "label", "*.parquet")) == 2
    with pytest.raises(NotFound):
        retention.plan(run_id="run-0")


@on_sqlite
def test_apply_marks_and_the_next_tick_collects(bench: Workbench, finished: str) -> None:
    at_work = collector(bench)
    at_work.tick()
    other = bench.commands.create_run(
        RunConfig.model_validate_json(
            bench.queries.get_run(finished)
            .config.model_copy(update={"name": "another"})
            .model_dump_json()
            .replace('"min_age_seconds":null', '"min_age_seconds":0.0')
        )
    ).id
    bench.play_to_the_end(bench.reconciler())
    write_files(bench, other, 1)
    at_work.tick()
    assert len(names(bench, other, 1, "label", "*.parquet")) == 2, "it is not time to look again"

    marked = bench.services.retention.apply(other).marked
    at_work.tick()

    assert marked > 0
    assert names(bench, other, 1, "label", "*.parquet") == []


def test_a_collector_that_reads_for_hours_looks_whether_its_claim_still_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.retention.files._CHUNK_BYTES", 1)
    (tmp_path / "stage").mkdir()
    (tmp_path / "stage" / "part-00000.parquet").write_bytes(b"four")
    looks: list[bool] = []

    def lost_in_the_middle() -> None:
        looks.append(True)
        if len(looks) == 3:
            raise ClaimLost

    with pytest.raises(ClaimLost):
        collect_files(
            str(tmp_path / "stage"), str(tmp_path / "list.json"), Artifact.SELECTION, 1, still_ours=lost_in_the_middle
        )

    assert (tmp_path / "stage" / "part-00000.parquet").exists()
    assert not (tmp_path / "list.json").exists()


def test_the_answers_of_idempotency_keys_are_forgotten_after_a_week(bench: Workbench, run_config: MakeConfig) -> None:
    first = bench.commands.create_run(run_config(), "monday").id
    bench.clock.advance(7 * DAY_SECONDS)
    collector(bench).tick()
    assert bench.commands.create_run(run_config(), "monday").id == first
    bench.clock.advance(1)
    collector(bench).tick()
    assert bench.commands.create_run(run_config(), "monday").id != first


@on_sqlite
def test_a_model_that_another_run_labels_with_outlives_the_hardest_policy(
    bench: Workbench, run_config: MakeConfig, finished: str
) -> None:
    (stage_folder(bench, finished, 1, "train") / "model.json").write_text("{}")
    named = [f"{finished}-g1"]
    other = bench.commands.create_run(run_config(labeling={"further_teachers": named})).id
    hardest = {"keep_last_checkpoints": 0, "keep_label_generations": 0, "min_age_seconds": 0.0}
    bench.restart(bench.settings.model_copy(update={"retention": bench.settings.retention.model_copy(update=hardest)}))

    collector(bench).tick()

    assert names(bench, finished, 2, "label", "part-*") == []
    assert names(bench, finished, 1, "train", "model.*") == ["model.json", "model.safetensors"]
    bench.play_to_the_end(bench.reconciler())
    assert bench.queries.get_run(other).state == "succeeded"
    assert [each.uri for each in bench.ray.spec_of(f"{other}-g1-label-a1").further_teachers] == [
        str(stage_folder(bench, finished, 1, "train"))
    ]
