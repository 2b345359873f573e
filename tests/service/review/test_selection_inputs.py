"""What selections get when they are submitted: the marks until then, in every attempt the same, and earlier labels."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import update

from service.artifacts.layout import ArtifactLayout
from service.config.run import GenerationOverrides, RunConfig
from service.config.studies import AblationRequest
from service.review.generations import load_reviewed
from service.store.schema.tables import DatasetRow
from tests.support.made_labels import write_labels
from tests.support.workbench import Workbench
from workers.data.marks import Marks
from workers.specs.ablation import AblationSettings
from workers.specs.review import MarkRequest
from workers.specs.stages import AblateSpec, SelectSpec


@pytest.fixture
def run(bench: Workbench, run_config: Callable[..., RunConfig], tmp_path: Path) -> str:
    run_id = str(bench.commands.create_run(run_config()).id)
    bench.play_to_the_end(bench.reconciler())
    images = tmp_path / "pool.parquet"
    pq.write_table(pa.table({"image": pa.array([b"a", b"b"], pa.binary())}), images)
    write_labels(Path(bench.settings.artifact_root) / "runs" / run_id, 1, images, [[0.9, 0.1], [0.2, 0.8]])
    return run_id


def mark(bench: Workbench, run: str, row: int) -> None:
    bench.services.marks.put(run, 1, 0, row, MarkRequest(verdict="right"))


def select_of(bench: Workbench, job: str) -> SelectSpec:
    spec = bench.ray.spec_of(job)
    assert isinstance(spec, SelectSpec)
    return spec


def test_the_first_generation_has_neither_marks_nor_earlier_labels(bench: Workbench, run: str) -> None:
    spec = select_of(bench, f"{run}-g1-select-a1")
    assert (spec.marks_uri, spec.earlier) == (None, None)


def test_all_attempts_of_a_selection_follow_the_marks_of_the_first(bench: Workbench, run: str) -> None:
    mark(bench, run, 0)
    bench.commands.add_generation(run, GenerationOverrides())
    bench.play(bench.reconciler(), until=lambda job: job == f"{run}-g2-select-a1")
    mark(bench, run, 1)
    bench.lose_jobs(bench.reconciler())
    bench.clock.advance(600)  # the pause before another attempt
    bench.play(bench.reconciler(), until=lambda job: job == f"{run}-g2-select-a2")
    spec = select_of(bench, f"{run}-g2-select-a2")
    folder = Path(bench.settings.artifact_root) / "runs" / run
    assert spec.earlier.labels_uri == str(folder / "gen-1" / "label")
    assert spec.earlier.selection_uri == str(folder / "gen-1" / "select")
    assert spec.marks_uri == str(folder / "gen-2" / "select" / "marks.parquet")
    assert len(Marks.read(spec.marks_uri)) == 1


def test_an_ablation_follows_the_marks_of_the_selection_that_it_takes_apart(bench: Workbench, run: str) -> None:
    mark(bench, run, 0)
    bench.commands.add_generation(run, GenerationOverrides())
    bench.play_to_the_end(bench.reconciler())
    mark(bench, run, 1)
    for generation, marks in ((1, None), (2, 1)):
        request = AblationRequest(settings=AblationSettings(), generation=generation)
        ablation = bench.study_commands.create_ablation(run, request)
        bench.play_to_the_end(bench.reconciler())
        spec = bench.ray.spec_of(f"{ablation.id}-g{generation}-ablate-a1")
        assert isinstance(spec, AblateSpec)
        uri = spec.selection.marks_uri
        assert (None if uri is None else len(Marks.read(uri))) == marks


@pytest.mark.parametrize("is_version", [True, False])
def test_only_labels_of_the_same_images_are_compared(bench: Workbench, run: str, is_version: bool) -> None:
    pool = str(RunConfig.model_validate(bench.queries.get_run(run).config).datasets.unlabeled)
    bench.add_dataset("pool-2", "unlabeled", rows=2)
    if is_version:
        with bench.database.write() as session:
            session.execute(
                update(DatasetRow).where(DatasetRow.id == "pool-2").values(version=2, previous=pool, first=pool)
            )
    bench.commands.add_generation(run, GenerationOverrides(unlabeled="pool-2"))
    bench.play_to_the_end(bench.reconciler())
    with bench.database.read() as session:
        layout = ArtifactLayout(str(bench.settings.artifact_root))
        first, second = (load_reviewed(session, layout, run, number) for number in (1, 2))
    assert (second.dataset_id, first.dataset_id) == ("pool-2", pool)
    has_earlier = (select_of(bench, f"{run}-g2-select-a1").earlier is not None, second.before is not None)
    assert has_earlier == (is_version, is_version)
    assert (first.after is not None) == is_version
    if not is_version:
        for why in (second.why_none_before, first.why_no_student):
            assert why is not None
            assert "labeled another pool" in why
