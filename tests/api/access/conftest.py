"""The application with authentication on, and keys for it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from api.dependencies import open_services
from service.access.key_commands import KeyRequest
from service.settings import Settings

MakeKey = Callable[..., str]


@pytest.fixture
def secured_settings(settings: Settings, tmp_path: Path) -> Settings:
    changes: dict[str, Any] = {"authentication": True, "dataset_roots": (str(tmp_path / "images"),)}
    return Settings(**{**settings.model_dump(exclude={"dashboard_url"}), **changes})


@pytest.fixture
def secured(application: FastAPI, secured_settings: Settings, ray: Any) -> FastAPI:
    application.state.services = open_services(secured_settings, ray)
    return application


@pytest.fixture
def make_key(secured: FastAPI) -> MakeKey:
    """Makes a key in the database, as the command line does; gives its text."""

    def make(scope: str = "admin", project: str | None = None, **more: Any) -> str:
        request = KeyRequest.model_validate({"name": scope, "scope": scope, "project": project, **more}, strict=False)
        return secured.state.services.keys.create_key(request, "the test").key

    return make


@pytest.fixture
def anonymous(secured: FastAPI) -> Iterator[TestClient]:
    with TestClient(secured, raise_server_exceptions=False, follow_redirects=False) as client:
        yield client


@pytest.fixture
def as_key(anonymous: TestClient, make_key: MakeKey) -> Callable[..., TestClient]:
    """A client with a key of the scope and the project. It shares the running application."""

    def client(scope: str = "admin", project: str | None = None) -> TestClient:
        headers = {"Authorization": f"Bearer {make_key(scope, project)}"}
        return TestClient(anonymous.app, raise_server_exceptions=False, follow_redirects=False, headers=headers)

    return client
