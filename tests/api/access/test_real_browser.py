"""The pages in a real browser: login and logout, what a viewer is offered, and the documentation."""

from collections.abc import Callable

import pytest
from fastapi import FastAPI
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.expected_conditions import presence_of_element_located, visibility_of_element_located
from selenium.webdriver.support.wait import WebDriverWait

from service.settings import Settings
from tests.api.access.conftest import MakeKey
from tests.browser import TEAM_HOST, WAIT_SECONDS
from tests.support.changed_settings import changed

RUNS = (By.CSS_SELECTOR, "body[data-page=runs]")
LOGIN = (By.CSS_SELECTOR, "form[action='/ui/login']")
LOGOUT = (By.CSS_SELECTOR, "#logout button")


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return changed(settings, access__allowed_hosts=())


@pytest.fixture
def app(secured: FastAPI) -> FastAPI:
    """The application that `server` serves."""
    return secured


def log_in(browser: Chrome, key: str) -> None:
    browser.find_element(By.ID, "key").send_keys(key)
    browser.find_element(By.CSS_SELECTOR, "form button").click()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", TEAM_HOST])
def test_a_person_logs_in_and_out_by_whatever_name_the_service_has(
    server: str, browser: Chrome, make_key: MakeKey, host: str
) -> None:
    wait = WebDriverWait(browser, WAIT_SECONDS)
    browser.get(f"{server.replace('127.0.0.1', host)}/?from=elsewhere")
    log_in(browser, make_key("viewer"))
    wait.until(presence_of_element_located(RUNS))
    assert browser.current_url.endswith("/?from=elsewhere")
    wait.until(visibility_of_element_located(LOGOUT)).click()
    wait.until(presence_of_element_located(LOGIN))
    browser.refresh()
    assert browser.find_elements(*LOGIN)
    assert browser.get_cookies() == []


def test_a_wrong_key_gets_the_form_again_and_may_be_corrected(server: str, browser: Chrome, make_key: MakeKey) -> None:
    browser.get(f"{server.replace('127.0.0.1', TEAM_HOST)}/")
    log_in(browser, "nsk_nonsense")
    wait = WebDriverWait(browser, WAIT_SECONDS)
    wait.until(presence_of_element_located((By.CSS_SELECTOR, "[role=alert]")))
    log_in(browser, make_key("viewer"))
    wait.until(presence_of_element_located(RUNS))


@pytest.mark.parametrize(("scope", "offered"), [("viewer", []), ("operator", ["Pause", "Cancel"])])
def test_a_caller_is_offered_what_it_may_do(
    server: str, browser: Chrome, make_key: MakeKey, run_of: Callable[[str], str], scope: str, offered: list[str]
) -> None:
    run = run_of(make_key("operator"))
    browser.get(f"{server}/ui/runs/{run}")
    log_in(browser, make_key(scope))
    wait = WebDriverWait(browser, WAIT_SECONDS)
    wait.until(visibility_of_element_located(LOGOUT))  # the page knows who is logged in
    wait.until(visibility_of_element_located((By.CSS_SELECTOR, "#summary h1")))

    def shown(_: Chrome) -> bool:
        buttons = browser.find_elements(By.CSS_SELECTOR, ".buttons button")
        return [button.text for button in buttons if button.is_displayed()] == offered

    wait.until(shown)


def test_the_documentation_needs_no_network_and_breaks_no_policy(
    server: str, browser: Chrome, make_key: MakeKey
) -> None:
    browser.get(f"{server}/docs")
    log_in(browser, make_key("viewer"))
    WebDriverWait(browser, WAIT_SECONDS).until(visibility_of_element_located((By.CSS_SELECTOR, "#swagger-ui .opblock")))
    assert "Noisy Student" in browser.find_element(By.CSS_SELECTOR, "#swagger-ui .title").text
    complaints = [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert [each for each in complaints if "/docs - Failed to load" not in each] == []  # that was the login form's 401
