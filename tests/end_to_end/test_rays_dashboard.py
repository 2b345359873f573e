"""Ray's own dashboard in a real browser, through the service with authentication on."""

from collections.abc import Iterator

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from noisy_student.cli.commands.link import page_address
from noisy_student.client import Client
from noisy_student.local.stack import LocalStack
from service.config.stage_key import StageKey
from service.ray_client.job_metadata import job_metadata
from service.ray_client.jobs import RayJobs
from tests.browser import WAIT_SECONDS, open_browser

LOADING_SECONDS = 3 * WAIT_SECONDS  # megabytes of scripts
RAYS_OWN = {
    "/ray/api/prometheus_health": 500,
    "/ray/api/serve/applications/": 501,
    "/ray/api/v0/platform_events": 404,
}
"""What Ray itself answers where there is no Prometheus, no Ray Serve, and no Kubernetes whose events it could show."""


@pytest.fixture(scope="module")
def browser(client: Client) -> Iterator[Chrome]:
    """A browser that is logged in."""
    with open_browser() as chrome:
        chrome.set_window_size(1500, 1000)
        chrome.set_page_load_timeout(LOADING_SECONDS)
        chrome.get(page_address(client))
        yield chrome


def text_of(browser: Chrome) -> str:
    return browser.find_element(By.TAG_NAME, "body").text


def complaints(browser: Chrome) -> list[str]:
    """What the browser's console says, without what Ray itself answers."""
    severe = [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    return [
        each
        for each in severe
        if not any(path in each and f"status of {status}" in each for path, status in RAYS_OWN.items())
    ]


@pytest.mark.parametrize(
    ("page", "shows"),
    [
        ("overview", "Cluster utilization"),
        ("cluster", "Node Statistics"),
        ("logs", "Logs"),
        ("jobs", "Job List"),
    ],
)
def test_each_page_loads_and_nothing_of_it_is_blocked(
    browser: Chrome, stack: LocalStack, page: str, shows: str
) -> None:
    browser.get_log("browser")
    browser.get(f"{stack.api_url}/ray/#/{page}")
    WebDriverWait(browser, LOADING_SECONDS).until(lambda _: shows.lower() in text_of(browser).lower())
    assert complaints(browser) == []


def test_a_job_is_found_by_its_run_generation_and_stage(browser: Chrome, stack: LocalStack) -> None:
    key = StageKey("run-named", 2, "label")
    jobs = RayJobs(stack.dashboard_url, stack.ray.token)
    jobs.submit(key.submission_id(1), "true", "/nothing", job_metadata(key, 1))
    browser.get(f"{stack.api_url}/ray/#/jobs")
    WebDriverWait(browser, LOADING_SECONDS).until(lambda _: "run-named/2/label" in text_of(browser))
    jobs.close()
