"""Everything stored can be read again. A row that cannot be read breaks no listing, and can be cancelled."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import ValidationError
from sqlalchemy import select, update

from service.config.run import RunConfig
from service.errors import InvalidRequest
from service.settings import Settings
from service.store.schema.tables import GenerationRow, RunRow
from service.store.stored_values import written
from workers.specs.noise import Noise
from workers.specs.recipe import Recipe


@pytest.fixture
def long_named(client: TestClient, run_config: dict[str, Any], reconcile: Callable[[], None]) -> str:
    run = client.post("/runs", json={**run_config, "name": "r" * 120}).json()
    reconcile()
    return str(run["id"])


def test_what_is_made_beside_a_run_with_a_long_name_can_be_read(
    client: TestClient, long_named: str, reconcile: Callable[[], None]
) -> None:
    search = client.post("/searches", json={"run_id": long_named, "generation": 0, "settings": {"trials": 1}})
    ablation = client.post(f"/runs/{long_named}/ablations", json={})
    for made in (search, ablation):
        assert made.status_code == 201, made.text
        assert made.json()["name"].endswith("rrr")
        shown = client.get(f"/runs/{made.json()['id']}")
        assert shown.status_code == 200, shown.text
        assert shown.json()["config"]["name"] == made.json()["name"]
    reconcile()
    assert client.get(f"/runs/{search.json()['id']}").json()["generation_details"][0]["stages"][0]["attempts"]


def test_a_copy_with_changes_is_checked_by_all_rules() -> None:
    recipe = Recipe(steps=200)
    assert recipe.model_copy(update={"steps": 300}).model_fields_set == {"steps"}
    assert recipe.model_copy() == recipe
    for wrong in ({"steps": 0}, {"steps": "300"}, {"stops": 300}, {"noise": {"dropout": 2.0}}):
        with pytest.raises(ValidationError):
            recipe.model_copy(update=wrong)


def test_what_could_not_be_read_again_is_not_stored(run_config: dict[str, Any]) -> None:
    config = RunConfig.model_validate_json(json.dumps(run_config))
    noise = Noise.model_construct(rand_augment=None, dropout=float("nan"), drop_path=0.0)
    for field, wrong in (
        ("name", RunConfig.model_construct(**{**dict(config), "name": "r" * 121})),
        ("teacher_recipe.noise.dropout", config.model_copy(update={"teacher_recipe": Recipe(noise=noise)})),
    ):
        with pytest.raises(InvalidRequest) as refused:
            written(wrong)
        assert refused.value.field == field


@pytest.fixture
def unreadable(client: TestClient, app: FastAPI, run_id: str) -> str:
    """A run as another version of the service may have stored it."""
    with app.state.services.database.write() as session:
        config = json.loads(session.execute(select(RunRow.config).where(RunRow.id == run_id)).scalar_one())
        changed = json.dumps({**config, "name": "r" * 121, "news": 1})
        session.execute(update(RunRow).where(RunRow.id == run_id).values(config=changed))
        session.execute(update(GenerationRow).where(GenerationRow.run_id == run_id).values(plan='{"news": 1}'))
    return run_id


def test_a_run_that_cannot_be_read_is_shown_without_what_cannot(client: TestClient, unreadable: str) -> None:
    shown = client.get(f"/runs/{unreadable}").json()
    assert (shown["id"], shown["config"]) == (unreadable, None)
    assert [each["plan"] for each in shown["generation_details"]] == [None] * 3
    for path in ("/runs", "/queue", "/retention/plan", "/models", f"/runs/{unreadable}/generations", "/projects"):
        assert client.get(path).status_code == 200, path
    assert client.get(f"/runs/{unreadable}/generations/0").json()["plan"] is None


def test_what_would_need_to_read_it_is_a_conflict(client: TestClient, unreadable: str) -> None:
    client.post(f"/runs/{unreadable}/cancel")
    for path, body in (
        ("/searches", {"run_id": unreadable, "generation": 0}),
        (f"/runs/{unreadable}/generations", {}),
        (f"/runs/{unreadable}/pause", None),
    ):
        assert client.post(path, json=body).status_code == 409, path


def test_a_run_that_cannot_be_read_can_be_cancelled_and_not_retried(
    client: TestClient, unreadable: str, reconcile: Callable[[], None], settings: Settings
) -> None:
    reconcile()
    assert client.get(f"/runs/{unreadable}").json()["state"] == "running"
    assert client.post(f"/runs/{unreadable}/cancel").status_code == 202
    reconcile()
    assert client.get(f"/runs/{unreadable}").json()["state"] == "cancelled"
    refused = client.post(f"/runs/{unreadable}/retry")
    assert refused.status_code == 409
    assert "cannot read" in refused.json()["detail"]
