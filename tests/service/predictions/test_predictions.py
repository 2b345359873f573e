"""Predictions on both kinds of database: a run of one stage over one dataset, whatever its role."""

import pytest

from service.config.predictions import PredictionRequest
from service.errors import Forbidden, InvalidRequest, NotFound
from service.store.visibility import only_projects
from tests.support.workbench import MakeConfig, Workbench, submitted
from workers.specs.stages import ActorPool, PredictSpec


@pytest.fixture
def model(bench: Workbench, run_config: MakeConfig) -> str:
    """The id of a trained model of the project `pets`."""
    run = bench.commands.create_run(run_config(project="pets"))
    bench.play_to_the_end(bench.reconciler())
    bench.ray.submits.clear()
    return f"{run.id}-g1"


def start(bench: Workbench, model: str, dataset: str, **more: object) -> str:
    request = PredictionRequest.model_validate({"model": model, "dataset": dataset, **more})
    return str(bench.services.prediction_commands.create(request).id)


def test_a_prediction_is_a_run_of_one_stage_over_any_dataset(bench: Workbench, model: str) -> None:
    request = PredictionRequest(
        model=model, dataset="ds-unlabeled", top_k=3, batch_size=64, pool=ActorPool(max_actors=4), priority=5
    )
    commands, queries = bench.services.prediction_commands, bench.services.prediction_queries
    created = commands.create(request, "key")
    assert commands.create(request, "key") == created
    assert (created.state, created.outcome, created.top1) == ("running", None, None)
    assert created.name == f"{model} on the ds-unlabeled"
    bench.play_to_the_end(bench.reconciler())

    assert submitted(bench, created.id) == ["g0-predict-a1"]
    spec = bench.ray.spec_of(f"{created.id}-g0-predict-a1")
    assert isinstance(spec, PredictSpec)
    assert (spec.model_id, spec.model_uri) == (model, bench.queries.get_model(model).uri)
    assert spec.manifest_uri.endswith("/datasets/ds-unlabeled/manifest.json")
    assert (spec.top_k, spec.batch_size, spec.pool.max_actors, spec.max_bad_fraction) == (3, 64, 4, 1.0)
    found = queries.get(created.id)
    assert (found.state, found.outcome.bad_images) == ("succeeded", 1)
    assert found.top1 == found.outcome.truth.top1_right / 4
    run = bench.queries.get_run(created.id)
    assert (run.kind, run.priority) == ("prediction", 5)
    assert [each.id for each in queries.list().items] == [created.id]
    assert created.id not in [each.id for each in bench.queries.list_runs().items]


def test_a_prediction_is_paused_cancelled_and_retried_as_a_run_is(bench: Workbench, model: str) -> None:
    prediction = start(bench, model, "ds-test")
    reconciler = bench.reconciler()
    reconciler.tick()
    bench.commands.cancel_run(prediction)
    bench.ray.end(f"{prediction}-g0-predict-a1", status="STOPPED")
    reconciler.tick()
    assert bench.services.prediction_queries.get(prediction).state == "cancelled"
    bench.commands.retry_run(prediction)
    bench.play_to_the_end(reconciler)
    assert submitted(bench, prediction) == ["g0-predict-a1", "g0-predict-a2"]
    assert bench.services.prediction_queries.get(prediction).state == "succeeded"


@pytest.mark.parametrize(("model_id", "dataset", "field"), [("none-g0", "ds-test", "model"), ("", "none", "dataset")])
def test_what_is_not_there_is_named(bench: Workbench, model: str, model_id: str, dataset: str, field: str) -> None:
    with pytest.raises(InvalidRequest, match="none") as caught:
        start(bench, model_id or model, dataset)
    assert caught.value.field == field


@pytest.mark.attack
def test_models_datasets_and_predictions_of_other_projects_are_not_there(bench: Workbench, model: str) -> None:
    prediction = start(bench, model, "ds-test", project="pets")
    with only_projects(frozenset({"cars"})):
        with pytest.raises(InvalidRequest, match="there is no model"):
            start(bench, model, "ds-test")
        with pytest.raises(NotFound):
            bench.services.prediction_queries.get(prediction)
        assert bench.services.prediction_queries.list().items == []
    with only_projects(frozenset({"pets"})):
        with pytest.raises(InvalidRequest, match="there is no dataset"):
            start(bench, model, "ds-test")
        with pytest.raises(Forbidden):
            start(bench, model, "ds-test", project="cars")


@pytest.mark.attack
def test_a_prediction_tells_nothing_of_the_models_own_run(bench: Workbench, model: str) -> None:
    prediction = start(bench, model, "ds-test", project="cars")
    text = bench.queries.get_run(prediction).model_dump_json()
    for of_the_run in ("ds-labeled", "ds-unlabeled", "ds-validation"):
        assert of_the_run not in text
