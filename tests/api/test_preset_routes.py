"""GET /presets, and runs that name a preset."""

from typing import Any

from fastapi.testclient import TestClient

from service.config.presets import PRESET_NAMES, preset
from tests.support.application import StubRay

Config = dict[str, Any]


def _with_preset(run_config: Config, name: str, **changes: Any) -> Config:
    left = {
        key: value for key, value in run_config.items() if key not in ("teacher_recipe", "student_recipe", "selection")
    }
    return {**left, "preset": name, **changes}


def test_all_presets_are_listed_with_their_sources(client: TestClient) -> None:
    answer = client.get("/presets", params={"labeled_images": 1000}).json()
    assert [each["name"] for each in answer["presets"]] == list(PRESET_NAMES)
    assert all(each["source"] for each in answer["presets"])
    paper = {each["name"]: each for each in answer["presets"]}["paper-b7"]
    assert paper["student_recipe"]["steps"] == preset("paper-b7", 1000).student_recipe.steps
    assert client.get("/presets", params={"labeled_images": 0}).status_code == 422


def test_a_preset_is_suggested_by_the_pictures_the_labels_and_the_cluster(client: TestClient, ray: StubRay) -> None:
    def suggested(**asked: Any) -> Any:
        answer = client.get("/presets", params=asked)
        assert answer.status_code == 200, answer.text
        return answer.json()["suggested"]

    assert suggested(labeled_images=1000) is None
    photographs = {"labeled_images": 1000, "picture_side": 300, "classes": 10}
    on_cpus = suggested(**photographs)
    assert (on_cpus["preset"], on_cpus["image_size"]) == ("small-pictures", 64)
    assert "the cluster has no GPU" in on_cpus["reasons"][0]
    ray.gpu_count = 1
    assert suggested(**photographs)["preset"] == "fine-tune"
    assert suggested(**photographs, name="paper-b0")["preset"] == "paper-b0"
    ray.away = True
    assert "nobody knows" in suggested(**photographs)["reasons"][0]


def test_a_run_with_a_preset_is_stored_with_whole_recipes(client: TestClient, run_config: Config) -> None:
    own = {"noise": {"drop_path": 0.05}, "batch_size": 4}
    config = _with_preset(run_config, "small-pictures", student_recipe=own, selection={"min_confidence": 0.5})
    answer = client.post("/runs", json=config)
    assert answer.status_code == 201, answer.text
    stored = answer.json()["config"]
    rows = client.get(f"/datasets/{run_config['datasets']['labeled']}").json()["rows"]
    expected = preset("small-pictures", rows, 4).student_recipe
    assert stored["preset"] == "small-pictures"
    assert stored["student_recipe"]["noise"]["drop_path"] == 0.05
    assert stored["student_recipe"]["noise"]["dropout"] == expected.noise.dropout
    assert stored["student_recipe"]["steps"] == expected.steps
    assert stored["student_recipe"]["optimizer"]["learning_rate"] == expected.optimizer.learning_rate
    assert stored["teacher_recipe"]["steps"] == preset("small-pictures", rows).teacher_recipe.steps
    assert stored["selection"]["min_confidence"] == 0.5
    again = client.post("/runs", json=stored)
    assert again.json()["config"] == stored


def test_a_field_that_does_not_fit_the_preset_is_named(client: TestClient, run_config: Config) -> None:
    own = {"optimizer": {"name": "sgd"}}
    answer = client.post("/runs", json=_with_preset(run_config, "paper-b0", student_recipe=own))
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert error["field"] == "student_recipe.optimizer.epsilon"
    assert "with the preset paper-b0" in error["message"]


def test_an_unknown_preset_is_refused(client: TestClient, run_config: Config) -> None:
    answer = client.post("/runs", json=_with_preset(run_config, "paper-b9"))
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "preset"
