"""The link from an attempt to its Ray job, and the page that is there when the job is gone, also in a browser."""

import time
from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from tests.browser import WAIT_SECONDS
from tests.support.application import StubRay
from workers.specs.reports import Waiting, WaitKind


@pytest.fixture
def job_url(client: TestClient, run_id: str, ray: StubRay, reconcile: Callable[[], None]) -> str:
    """The link to the job of the first attempt, which is on the cluster."""
    ray.holding = True
    reconcile()
    stage = client.get(f"/runs/{run_id}/generations/0/stages/train").json()
    url: str = stage["attempts"][0]["job_url"]
    return url


def test_the_link_leads_to_rays_dashboard_while_ray_has_the_job(client: TestClient, job_url: str, run_id: str) -> None:
    answer = client.get(job_url, follow_redirects=False)

    assert answer.status_code == 302
    assert answer.headers["Location"].endswith(f"/#/jobs/{run_id}-g0-train-a1")


def test_a_job_that_is_gone_is_a_page_with_a_sentence_and_never_a_404(
    client: TestClient, job_url: str, ray: StubRay
) -> None:
    ray.submitted.clear()
    ray.printed = None
    page = client.get(job_url)
    assert page.status_code == 200
    assert "Its log was not saved." in page.text
    assert "<pre" not in page.text

    ray.printed = "<b>loss</b> 0.5\n"
    page = client.get(job_url)
    assert "&lt;b&gt;loss&lt;/b&gt; 0.5" in page.text
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]


def test_an_attempt_that_does_not_exist_is_not_found(client: TestClient, job_url: str) -> None:
    assert client.get(job_url.replace("/attempts/1/", "/attempts/9/")).status_code == 404


def test_a_browser_shows_the_wait_the_devices_and_the_job(
    client: TestClient,
    server: str,
    browser: Chrome,
    run_id: str,
    ray: StubRay,
    reconcile: Callable[[], None],
) -> None:
    reason = "waiting for resources: needs 2 workers of 1 CPU and 1 GPU each; a node of gpu-train is to come"
    ray.waiting = Waiting(since=time.time(), reason=reason, exceeds_cluster=True, kind=WaitKind.NODE_COMING)
    ray.holding = True
    reconcile()
    wait = WebDriverWait(browser, WAIT_SECONDS)

    browser.get(f"{server}/")
    wait.until(lambda _: f"node coming generation 0 train: {reason}" in text_of(browser))
    browser.get(f"{server}/ui/runs/{run_id}")
    wait.until(lambda _: f"node coming generation 0 train: {reason}" in text_of(browser))
    assert "1 CPU · Ray job ↗" in text_of(browser)
    ray.submitted.clear()
    link = browser.find_element(By.LINK_TEXT, "Ray job ↗").get_attribute("href")
    assert link is not None
    browser.get(link)
    wait.until(lambda _: "Ray does not know this job" in text_of(browser))
    assert "last line" in text_of(browser)
    severe = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert severe == []


def text_of(browser: Chrome) -> str:
    return browser.find_element(By.TAG_NAME, "body").text
