"""A run whose training workers share one model: what is accepted, refused, asked of the cluster, and charged."""

from typing import Any

import pytest
from pydantic import ValidationError

from service.config.studies import AblationRequest, SearchRequest
from service.errors import InvalidRequest
from tests.support.workbench import MakeConfig, Workbench
from workers.runtime.capacity import demand_of
from workers.specs.devices import devices_of
from workers.specs.search import SearchSettings
from workers.specs.stages import AblateSpec, TrainSpec

SHARED = {"train": {"num_workers": 2, "parallelism": "fsdp", "gpus_per_worker": 0.0}}


@pytest.mark.parametrize(
    ("num_workers", "why"), [(1, "num_workers is 1"), ({"min": 1, "max": 4}, r"num_workers\.min is 1")]
)
def test_one_worker_cannot_share_a_model(run_config: MakeConfig, num_workers: Any, why: str) -> None:
    with pytest.raises(ValidationError, match=f"at least 2 workers, and {why}: raise it, or set ddp") as refused:
        run_config(resources={"train": {"num_workers": num_workers, "parallelism": "fsdp"}})
    [error] = refused.value.errors()
    assert (error["loc"], error["ctx"]["field"]) == (("resources", "train"), "parallelism")
    run_config(resources={"train": {"num_workers": {"min": 2, "max": 4}, "parallelism": "fsdp"}})
    run_config(resources={"train": {"num_workers": num_workers, "parallelism": "ddp"}})


def test_workers_hold_the_whole_model_unless_the_run_says_otherwise(run_config: MakeConfig) -> None:
    assert run_config().resources.train.parallelism == "ddp"


def test_a_model_that_is_compiled_cannot_be_shared(bench: Workbench, run_config: MakeConfig) -> None:
    config = run_config(resources=SHARED)
    for field in ("teacher_recipe", "student_recipe"):
        compiled = getattr(config, field).model_copy(update={"compile": True})
        with pytest.raises(InvalidRequest, match="set compile to false, or parallelism to ddp") as refused:
            bench.commands.create_run(config.model_copy(update={field: compiled}))
        assert refused.value.field == f"{field}.compile"


def test_a_searchs_trials_need_the_workers_that_share_the_model(bench: Workbench, run_config: MakeConfig) -> None:
    with pytest.raises(InvalidRequest, match="at least 2 workers: raise it") as refused:
        bench.commands.create_run(run_config(resources=SHARED, search={"trials": 4}))
    assert refused.value.field == "search.workers_per_trial"
    run = bench.commands.create_run(
        run_config(resources=SHARED, search={"trials": 4, "workers_per_trial": 2}, generations=1)
    ).id
    bench.play_to_the_end(bench.reconciler())

    request = SearchRequest(run_id=run, generation=1, settings=SearchSettings(trials=2))
    with pytest.raises(InvalidRequest) as beside:
        bench.study_commands.create_search(request)
    assert beside.value.field == "settings.workers_per_trial"


def test_an_ablation_trains_with_the_fewest_workers_that_may_share_the_model(
    bench: Workbench, run_config: MakeConfig
) -> None:
    run = bench.commands.create_run(
        run_config(resources={"train": {**SHARED["train"], "num_workers": {"min": 2, "max": 4}}})
    ).id
    bench.play_to_the_end(bench.reconciler())
    train = bench.ray.spec_of(f"{run}-g1-train-a1")
    assert isinstance(train, TrainSpec)
    assert train.workers.parallelism == "fsdp"

    recipe = train.recipe.model_copy(update={"compile": True})
    with pytest.raises(InvalidRequest) as refused:
        bench.study_commands.create_ablation(run, AblationRequest(recipe=recipe))
    assert refused.value.field == "recipe.compile"

    ablation = bench.study_commands.create_ablation(run, AblationRequest())
    bench.play_to_the_end(bench.reconciler())
    spec = bench.ray.spec_of(f"{ablation.id}-g1-ablate-a1")
    assert isinstance(spec, AblateSpec)
    demand = demand_of(spec)
    assert demand is not None
    assert (demand.parts, devices_of(spec).count) == (2, 2)
