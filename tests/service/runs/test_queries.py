"""What users see, on both kinds of database."""

import pytest

from service.config.stage_key import StageKey
from service.errors import InvalidRequest, NotFound, RayUnavailable
from tests.support.workbench import MakeConfig, Workbench
from workers.artifact_io import write_bytes
from workers.specs.reports import Progress
from workers.specs.stages import metrics_name


@pytest.fixture
def run_id(bench: Workbench, run_config: MakeConfig) -> str:
    """A run whose first stage is running."""
    run_id: str = bench.commands.create_run(run_config()).id
    bench.reconciler().tick()
    return run_id


def write_progress(bench: Workbench, job_id: str, done: int) -> None:
    progress = Progress(
        attempt=1, done=done, total=10, unit="steps", entered_at=1.0, work_started_at=2.0, updated_at=3.0
    )
    write_bytes(f"{bench.ray.spec_of(job_id).folder_uri}/progress.json", progress.model_dump_json().encode())


def test_progress_is_what_the_stage_wrote_last(bench: Workbench, run_id: str) -> None:
    assert bench.queries.get_stage(StageKey(run_id, 0, "train")).progress is None

    for done in (3, 7):
        write_progress(bench, f"{run_id}-g0-train-a1", done)
        assert bench.queries.get_stage(StageKey(run_id, 0, "train")).progress.done == done
        assert bench.queries.get_run(run_id).generation_details[0].stages[0].progress.done == done


def test_progress_that_cannot_be_read_hides_nothing_else(bench: Workbench, run_id: str) -> None:
    write_bytes(f"{bench.ray.spec_of(f'{run_id}-g0-train-a1').folder_uri}/progress.json", b'{"half":')

    assert bench.queries.get_run(run_id).generation_details[0].stages[0].progress is None


def test_metric_rows_come_in_order_of_attempt_and_step(bench: Workbench, run_id: str) -> None:
    folder = bench.ray.spec_of(f"{run_id}-g0-train-a1").folder_uri
    rows = [{"attempt": 1, "step": step, "at": 1.5, "values": {"loss": 1 / step}} for step in (2, 1)]
    lines = "\n".join(str(row).replace("'", '"') for row in rows)
    write_bytes(f"{folder}/{metrics_name(1)}", lines.encode() + b"\n")

    metrics = bench.queries.stage_metrics(StageKey(run_id, 0, "train"))

    assert [(row.step, row.values) for row in metrics] == [(1, {"loss": 1.0}), (2, {"loss": 0.5})]


def test_a_stage_that_logged_nothing_has_no_metrics(bench: Workbench, run_id: str) -> None:
    assert bench.queries.stage_metrics(StageKey(run_id, 0, "evaluate")) == []


def test_the_log_tail_is_of_the_latest_attempt(bench: Workbench, run_id: str) -> None:
    reconciler = bench.reconciler()
    bench.clock.advance(20)
    bench.lose_jobs(reconciler)
    bench.clock.advance(1)
    reconciler.tick()
    bench.ray.jobs[f"{run_id}-g0-train-a2"]["logs"] = "one\ntwo\nthree\n"

    tail = bench.queries.log_tail(StageKey(run_id, 0, "train"), lines=2)

    assert (tail.attempt, tail.submission_id) == (2, f"{run_id}-g0-train-a2")
    assert tail.lines == ["two", "three"]
    assert bench.queries.log_tail(StageKey(run_id, 0, "train"), attempt=1).lines == []


def test_a_log_that_cannot_be_had_says_why(bench: Workbench, run_id: str) -> None:
    with pytest.raises(NotFound, match="a7"):
        bench.queries.log_tail(StageKey(run_id, 0, "train"), attempt=7)
    with pytest.raises(NotFound):
        bench.queries.log_tail(StageKey(run_id, 0, "evaluate"))
    with pytest.raises(InvalidRequest):
        bench.queries.log_tail(StageKey(run_id, 0, "train"), lines=0)
    bench.ray.down = True
    with pytest.raises(RayUnavailable):
        bench.queries.log_tail(StageKey(run_id, 0, "train"))


def test_an_attempt_links_to_its_job_in_rays_dashboard(bench: Workbench, run_id: str) -> None:
    attempt = bench.queries.get_attempt(StageKey(run_id, 0, "train"), 1)

    assert attempt.submission_id == f"{run_id}-g0-train-a1"
    assert attempt.dashboard_url == f"https://ray.example/#/jobs/{run_id}-g0-train-a1"
    assert bench.queries.list_attempts(StageKey(run_id, 0, "train")).items == [attempt]


def test_listings_are_newest_first_and_page_through_everything(
    bench: Workbench, run_id: str, run_config: MakeConfig
) -> None:
    ids = [run_id]
    for _ in range(3):
        bench.clock.advance(1)
        ids.append(bench.commands.create_run(run_config()).id)

    first = bench.queries.list_runs(limit=3)
    second = bench.queries.list_runs(limit=3, cursor=first.next_cursor)

    assert [run.id for run in first.items + second.items] == ids[::-1]
    assert second.next_cursor is None
    assert {run.generations for run in first.items} == {2}


def test_stages_and_generations_page_newest_first(bench: Workbench, run_id: str) -> None:
    stages = bench.queries.list_stages(run_id, limit=4)
    rest = bench.queries.list_stages(run_id, limit=4, cursor=stages.next_cursor)

    assert [view.id.removeprefix(f"{run_id}-") for view in stages.items + rest.items] == [
        "g1-evaluate",
        "g1-train",
        "g1-select",
        "g1-label",
        "g0-evaluate",
        "g0-train",
    ]
    assert [view.number for view in bench.queries.list_generations(run_id).items] == [1, 0]
    assert bench.queries.get_generation(run_id, 0) == bench.queries.get_run(run_id).generation_details[0]


def test_models_are_listed_by_run_and_found_by_id(bench: Workbench, run_id: str, run_config: MakeConfig) -> None:
    bench.play_to_the_end(bench.reconciler())
    other = bench.commands.create_run(run_config()).id
    bench.play_to_the_end(bench.reconciler())

    assert len(bench.queries.list_models().items) == 4
    mine = bench.queries.list_models(run_id=run_id).items
    assert {model.id for model in mine} == {f"{run_id}-g0", f"{run_id}-g1"}
    model = bench.queries.get_model(f"{other}-g1")
    assert (model.model, model.parameters, model.validation_top1, model.test_top1) == ("large", 372_688, 0.9, 0.6)
    assert model.uri.endswith(f"runs/{other}/gen-1/train")


def test_datasets_are_listed_newest_first(bench: Workbench) -> None:
    bench.clock.advance(1)
    bench.add_dataset("ds-new", "unlabeled")

    listed = bench.dataset_queries.list().items

    assert listed[0].id == "ds-new"
    assert listed[0].class_counts is None
    assert len(listed) == 5


def test_what_is_not_there_is_not_found(bench: Workbench, run_id: str) -> None:
    queries = bench.queries
    for ask in (
        lambda: queries.get_run("run-x"),
        lambda: queries.get_generation(run_id, 9),
        lambda: queries.list_generations("run-x"),
        lambda: queries.get_stage(StageKey(run_id, 0, "label")),
        lambda: queries.list_stages("run-x"),
        lambda: queries.get_attempt(StageKey(run_id, 0, "train"), 9),
        lambda: queries.list_attempts(StageKey(run_id, 0, "label")),
        lambda: queries.stage_metrics(StageKey(run_id, 9, "train")),
        lambda: queries.list_events("run-x"),
        lambda: queries.get_model("x"),
        lambda: queries.list_models(run_id="run-x"),
        lambda: bench.dataset_queries.get("x"),
    ):
        with pytest.raises(NotFound):
            ask()
