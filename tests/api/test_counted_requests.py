"""Requests in the metrics of a process: by route, never by path, also those that are refused."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from service.datasets.registration.inspector_pool import InspectorPool
from service.settings import Settings
from service.wiring import Services, open_services
from tests.service.metrics.scrape import Scrape, scrape
from tests.support.application import StubRay
from tests.support.changed_settings import changed

REQUESTS = "noisy_student_http_requests_total"
SECONDS = "noisy_student_http_request_duration_seconds"


@pytest.fixture
def services(settings: Settings, ray: StubRay, inspectors: InspectorPool) -> Services:
    return open_services(changed(settings, metrics__api_port=0), ray_jobs=ray, inspectors=inspectors)


@pytest.fixture
def counted(services: Services) -> Iterator[TestClient]:
    """An application whose metrics are on."""
    app = create_app(services.settings)
    app.state.services.close()
    app.state.services = services
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def seen(services: Services) -> Scrape:
    return scrape(services.metrics)


def test_requests_are_counted_by_the_template_of_their_route(counted: TestClient, services: Services) -> None:
    for run in ("run-1", "run-2", "run-3"):
        assert counted.get(f"/runs/{run}").status_code == 404
    assert counted.get("/runs").status_code == 200

    found = seen(services)
    assert found.value(REQUESTS, method="GET", route="/runs/{run_id}", status="404") == 3
    assert found.value(REQUESTS, method="GET", route="/runs", status="200") == 1
    assert found.total(REQUESTS) == 4
    assert found.value(f"{SECONDS}_count", method="GET", route="/runs/{run_id}") == 3
    assert found.value(f"{SECONDS}_sum", method="GET", route="/runs/{run_id}") > 0


def test_paths_and_methods_that_nobody_knows_are_one_series(counted: TestClient, services: Services) -> None:
    for path in ("/wp-login.php", "/a/b/c", "/%00"):
        assert counted.get(path).status_code == 404
    counted.request("BREW", "/coffee")
    counted.request("STIR", "/tea")

    found = seen(services)
    assert found.value(REQUESTS, method="GET", route="none", status="404") == 3
    assert found.total(REQUESTS, method="other", route="none") == 2
    assert found.total(REQUESTS) == 5


def test_requests_that_are_refused_count_for_the_route_that_they_were_for(
    settings: Settings, ray: StubRay, inspectors: InspectorPool
) -> None:
    closed = changed(settings, metrics__api_port=0, access__authentication=True)
    app = create_app(closed)
    app.state.services.close()
    app.state.services = services = open_services(closed, ray_jobs=ray, inspectors=inspectors)
    with TestClient(app, raise_server_exceptions=False) as client:
        assert client.get("/runs/run-1/stages").status_code == 401
        found = seen(services)

    assert found.value(REQUESTS, method="GET", route="/runs/{run_id}/stages", status="401") == 1
    assert found.total(REQUESTS) == 1


def test_a_fault_of_the_service_counts_as_500(
    counted: TestClient, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(services.queries), "list_runs", lambda *_, **__: 1 / 0)

    assert counted.get("/runs").status_code == 500
    assert seen(services).value(REQUESTS, method="GET", route="/runs", status="500") == 1


def test_the_apis_own_port_has_no_metrics(counted: TestClient) -> None:
    assert counted.get("/metrics").status_code == 404
