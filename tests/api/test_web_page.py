"""The web page loads everything from this server, and puts no data into markup."""

import re

import pytest
from fastapi.testclient import TestClient


@pytest.mark.parametrize("path", ["/", "/ui/runs/run-3f9c2a71d0", "/ui/runs/run-3f9c2a71d0/generations/1/review"])
def test_pages_and_all_that_they_load_come_from_here(client: TestClient, path: str) -> None:
    page = client.get(path)
    assert page.status_code == 200
    assert page.headers["Content-Type"].startswith("text/html")
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]
    loaded = re.findall(r'(?:src|rel="[a-z]+" href)="([^"]+)"', page.text)
    assert len(loaded) >= 3
    for address in loaded:
        assert address.startswith("/ui/static/"), address
        assert client.get(address).status_code == 200, address


@pytest.mark.attack
@pytest.mark.parametrize("name", ["page.js", "review.js", "elements.js"])
def test_the_script_writes_text_and_never_markup(client: TestClient, name: str) -> None:
    script = client.get(f"/ui/static/{name}").text
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b", script)


def test_the_page_asks_only_for_paths_that_the_api_has(client: TestClient) -> None:
    paths = set(client.get("/openapi.json").json()["paths"])
    for needed in (
        "/runs",
        "/runs/{run_id}",
        "/events/stream",
        "/runs/{run_id}/events",
        "/runs/{run_id}/events/stream",
        "/runs/{run_id}/cancel",
        "/runs/{run_id}/retry",
        "/runs/{run_id}/generations/{generation}/stages/{stage}/metrics",
    ):
        assert needed in paths
