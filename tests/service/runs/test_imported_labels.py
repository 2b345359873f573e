"""Runs that begin with imported labels: what their stages are told, and what is refused before anything is trained."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.config.run import EstimateRequest
from service.errors import InvalidRequest
from tests.support.workbench import MakeConfig, Workbench
from workers.specs.stages import LabelSpec, TrainSpec

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def table(folder: Path, **columns: Any) -> str:
    pq.write_table(pa.table(columns), folder / "labels.parquet")
    return str(folder / "labels.parquet")


def with_labels(run_config: MakeConfig, uri: str, **changes: Any) -> Any:
    return run_config(labeling={"imported": {"uri": uri}}, **changes)


def test_the_first_generation_takes_the_labels_and_later_ones_are_labeled_by_students(
    bench: Workbench, run_config: MakeConfig, tmp_path: Path
) -> None:
    uri = table(tmp_path, key=["a", "b"], label=["cat", "dog"])
    fit = {"student_recipe": {"temperature": "fit"}}
    run_id = bench.commands.create_run(with_labels(run_config, uri, generations=2, **fit)).id
    bench.play_to_the_end(bench.reconciler())
    first, second = (bench.ray.spec_of(f"{run_id}-g{number}-label-a1") for number in (1, 2))
    assert isinstance(first, LabelSpec)
    assert isinstance(second, LabelSpec)
    assert first.imported is not None
    assert (first.imported.uri, first.imported.classes) == (uri, ("cat", "dog"))
    assert (first.calibration_manifest_uri, first.reusable_labels) == (None, ())
    assert second.imported is None
    assert second.calibration_manifest_uri is not None
    trained = [bench.ray.spec_of(f"{run_id}-g{number}-train-a1") for number in (1, 2)]
    teachers = [spec.pseudo_labels.teachers for spec in trained if isinstance(spec, TrainSpec) and spec.pseudo_labels]
    assert teachers == [(), (f"{run_id}-g1",)]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"key": ["a", "b"], "label": ["cat", "wolf"]}, "labels.parquet: row 1: its class is none of the 2 classes"),
        ({"key": ["a", "a"], "label": ["cat", "dog"]}, "labels.parquet: row 1: its key is that of row 0"),
        ({"key": ["a"], "probabilities": [[0.9, 0.9]]}, "labels.parquet: row 0: its probabilities sum to more than 1"),
        ({"key": ["a"], "label": pa.array([None], pa.string())}, "no row has a label"),
    ],
)
def test_labels_that_cannot_be_used_are_refused_before_anything_is_trained(
    bench: Workbench, run_config: MakeConfig, tmp_path: Path, columns: dict[str, Any], message: str
) -> None:
    config = with_labels(run_config, table(tmp_path, **columns))
    with pytest.raises(InvalidRequest, match=message) as caught:
        bench.commands.create_run(config)
    assert caught.value.field == "labeling.imported.uri"
    with pytest.raises(InvalidRequest, match=message) as planned:
        bench.estimate_commands.create_plan(EstimateRequest(run=config))
    assert planned.value.field == "run.labeling.imported.uri"
    assert bench.queries.list_runs().items == []


def test_a_place_without_labels_and_a_run_without_students_are_refused(
    bench: Workbench, run_config: MakeConfig, tmp_path: Path
) -> None:
    with pytest.raises(InvalidRequest, match="no file that ends in") as caught:
        bench.commands.create_run(with_labels(run_config, str(tmp_path)))
    assert caught.value.field == "labeling.imported.uri"
    uri = table(tmp_path, key=["a"], label=["cat"])
    with pytest.raises(InvalidRequest, match="without generations of students") as none:
        bench.commands.create_run(with_labels(run_config, uri, generations=0, student_models=[]))
    assert none.value.field == "labeling.imported"


def test_labels_lie_where_datasets_of_the_project_may(bench: Workbench, run_config: MakeConfig, tmp_path: Path) -> None:
    uri = table(tmp_path, key=["a"], label=["cat"])
    elsewhere = bench.settings.datasets.model_copy(update={"roots": ("/data",)})
    bench.restart(bench.settings.model_copy(update={"datasets": elsewhere}))
    with pytest.raises(InvalidRequest) as caught:
        bench.commands.create_run(with_labels(run_config, uri))
    assert caught.value.field == "labeling.imported.uri"
