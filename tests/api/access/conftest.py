"""Fixtures: the application with authentication on, and keys for it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from service.config.access import KeyRequest
from service.datasets.registration.inspector_pool import InspectorPool
from service.settings import Settings
from service.wiring import Services, open_services
from tests.support.application import StubRay
from tests.support.changed_settings import changed_anew

MakeKey = Callable[..., str]
AsKey = Callable[..., TestClient]
RunBody = Callable[[TestClient], dict[str, Any]]


@pytest.fixture
def secured_settings(settings: Settings, tmp_path: Path) -> Settings:
    return changed_anew(settings, access__authentication=True, datasets__roots=(str(tmp_path / "images"),))


@pytest.fixture
def secured(application: FastAPI, secured_settings: Settings, ray: StubRay, inspectors: InspectorPool) -> FastAPI:
    application.state.services = open_services(secured_settings, ray_jobs=ray, inspectors=inspectors)
    return application


@pytest.fixture
def make_key(secured: FastAPI) -> MakeKey:
    """A function that creates a key in the database, as the command line does, and returns its text."""

    def make(scope: str = "admin", project: str | None = None, **more: Any) -> str:
        request = KeyRequest.model_validate({"name": scope, "scope": scope, "project": project, **more}, strict=False)
        services: Services = secured.state.services
        return services.keys.create_key(request, "the test").key

    return make


@pytest.fixture
def anonymous(secured: FastAPI) -> Iterator[TestClient]:
    with TestClient(secured, raise_server_exceptions=False, follow_redirects=False) as client:
        yield client


@pytest.fixture
def as_key(anonymous: TestClient, make_key: MakeKey) -> AsKey:
    """A client with a key of the scope and the project. It shares the running application."""

    def client(scope: str = "admin", project: str | None = None) -> TestClient:
        headers = {"Authorization": f"Bearer {make_key(scope, project)}"}
        return TestClient(anonymous.app, raise_server_exceptions=False, follow_redirects=False, headers=headers)

    return client


@pytest.fixture
def run_body(write_images: Callable[..., Path]) -> RunBody:
    """Registers four datasets as the client, and returns the body of a run on them."""

    def body(client: TestClient) -> dict[str, Any]:
        ids = {}
        for part, role, color, classes in (
            ("labeled", "labeled", 0, ("cat", "dog")),
            ("unlabeled", "unlabeled", 100, ()),
            ("validation", "evaluation", 200, ("cat", "dog")),
            ("test", "evaluation", 300, ("cat", "dog")),
        ):
            file = write_images(part, color, classes=classes)
            answer = client.post("/datasets", json={"name": part, "role": role, "uri": str(file)})
            assert answer.status_code == 201, answer.text
            ids[part] = answer.json()["id"]
        return {
            "name": "r",
            "datasets": ids,
            "teacher_model": "test_resnet",
            "student_models": ["test_resnet"],
            "generations": 1,
        }

    return body


@pytest.fixture
def run_of(anonymous: TestClient, run_body: RunBody) -> Callable[[str], str]:
    """Starts a run with a key, and returns its id."""

    def start(key: str) -> str:
        headers = {"Authorization": f"Bearer {key}"}
        client = TestClient(anonymous.app, headers=headers)
        return str(client.post("/runs", json=run_body(client)).json()["id"])

    return start
