"""The service says in each attempt's spec which servers a stage reports to, and no secret of theirs."""

import pytest
from pydantic import ValidationError

from service.config.settings.tracking import TrackingSettings
from service.settings import Settings
from tests.support.changed_settings import changed
from tests.support.workbench import MakeConfig, Workbench
from workers.specs.tracking import Tracking


def test_the_settings_and_the_runs_name_are_in_the_spec_that_the_job_reads(
    bench: Workbench, run_config: MakeConfig
) -> None:
    tracking = {
        "tracking__mlflow_uri": "http://mlflow:5000",
        "tracking__mlflow_experiment": "pets",
        "tracking__wandb_mode": "offline",
        "tracking__wandb_entity": "team",
        "tracking__service_url": "https://service.example.org",
    }
    bench.restart(changed(bench.settings, **tracking))
    run_id = bench.commands.create_run(run_config(name="my pets")).id
    bench.new_reconciler().tick()
    assert bench.ray.spec_of(f"{run_id}-g0-train-a1").tracking == Tracking(
        mlflow_uri="http://mlflow:5000",
        mlflow_experiment="pets",
        wandb_mode="offline",
        wandb_entity="team",
        run_name="my pets",
        service_url="https://service.example.org",
    )


def test_by_default_no_server_is_told_anything() -> None:
    assert Settings().tracking.of_stages == Tracking()
    assert (Tracking().mlflow_uri, Tracking().wandb_mode, Tracking().upload_weights) == (None, "off", False)


@pytest.mark.attack
@pytest.mark.parametrize("field", ["mlflow_uri", "service_url"])
@pytest.mark.parametrize("url", ["https://me:secret@host", "https://host/?token=secret", "databricks", "file://host/x"])
def test_a_url_with_a_secret_in_it_is_refused_and_not_repeated(field: str, url: str) -> None:
    with pytest.raises(ValidationError) as refused:
        TrackingSettings.model_validate({field: url})
    [error] = refused.value.errors(include_input=False, include_context=False)
    assert "secret" not in str(error)


def test_a_folder_may_be_mlflows() -> None:
    assert TrackingSettings(mlflow_uri="file:///shared/mlruns").of_stages.mlflow_uri == "file:///shared/mlruns"
