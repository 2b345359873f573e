"""Of two projects with a folder each, neither can register what belongs to the other."""

from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from service.settings import Settings
from tests.support.changed_settings import settings_of


@pytest.fixture
def secured_settings(settings: Settings, tmp_path: Path) -> Settings:
    by_project = {name: (str(tmp_path / name),) for name in ("pets", "xrays")}
    return settings_of(
        home=settings.home,
        ray__jobs_url=settings.ray.jobs_url,
        access__allowed_hosts=settings.access.allowed_hosts,
        access__authentication=True,
        datasets__roots=(str(tmp_path / "images"),),
        datasets__roots_by_project=by_project,
    )


def test_a_project_registers_below_its_own_roots_alone(
    as_key: Callable[..., TestClient], write_images: Callable[..., Path], tmp_path: Path
) -> None:
    file = write_images("x", 1, classes=())
    places = {}
    for name in ("pets", "xrays"):
        (tmp_path / name).mkdir()
        places[name] = tmp_path / name / "x.parquet"
        places[name].write_bytes(file.read_bytes())
    places["images"] = file
    (tmp_path / "pets" / "link.parquet").symlink_to(places["xrays"])

    def status(project: str, place: Path) -> int:
        client = as_key("operator", project)
        return client.post("/datasets", json={"name": "x", "role": "unlabeled", "uri": str(place)}).status_code

    allowed = {
        (project, name): status(project, place) for project in ("pets", "other") for name, place in places.items()
    }

    assert [place for place, code in allowed.items() if code == 201] == [("pets", "pets"), ("other", "images")]
    assert set(allowed.values()) == {201, 422}
    assert status("pets", tmp_path / "pets" / "link.parquet") == 422
