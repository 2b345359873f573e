"""Frames in a page of Ray's dashboard, in a real browser: Grafana's are shown where the settings name it."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from fastapi import FastAPI
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from service.settings import Settings
from service.wiring import open_services
from tests.api.access.conftest import MakeKey
from tests.browser import WAIT_SECONDS
from tests.support.changed_settings import changed
from tests.support.grafana import PANEL, grafana_on_loopback
from tests.support.served import served

pytestmark = pytest.mark.attack


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return changed(settings, access__allowed_hosts=())


@pytest.fixture
def app(secured: FastAPI) -> FastAPI:
    """The application that `server` serves."""
    return secured


@pytest.fixture
def grafana() -> Iterator[str]:
    with grafana_on_loopback() as url:
        yield url


@pytest.fixture
def head(grafana: str) -> Iterator[str]:
    """The address of a head whose dashboard is a page with one panel of Grafana."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(f'<!doctype html><title>Ray</title><iframe src="{grafana}/d-solo/x"></iframe>'.encode())

        def log_message(self, *_: object) -> None:
            """Discards the access log."""

    with served(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as server:
        yield f"http://127.0.0.1:{server.server_port}"


@pytest.mark.parametrize("named", [True, False])
def test_a_panel_is_shown_only_where_the_settings_name_its_grafana(
    secured: FastAPI,
    secured_settings: Settings,
    server: str,
    browser: Chrome,
    make_key: MakeKey,
    head: str,
    grafana: str,
    named: bool,
) -> None:
    key = make_key("viewer")
    settings = changed(secured_settings, ray__jobs_url=head, ray__grafana_url=grafana if named else "")
    secured.state.services = open_services(settings)
    browser.get(f"{server}/ray/")
    browser.find_element(By.ID, "key").send_keys(key)
    browser.find_element(By.CSS_SELECTOR, "form button").click()
    wait = WebDriverWait(browser, WAIT_SECONDS)
    wait.until(lambda _: browser.title == "Ray")
    browser.switch_to.frame(browser.find_element(By.TAG_NAME, "iframe"))
    if named:
        wait.until(lambda _: browser.find_element(By.TAG_NAME, "body").text == PANEL)
    browser.switch_to.default_content()
    blocked = [
        entry["message"] for entry in browser.get_log("browser") if "Content Security Policy" in entry["message"]
    ]
    assert bool(blocked) is not named
