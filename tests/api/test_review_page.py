"""The review page in a real browser: what it shows, and that the keys alone are enough to mark and to undo."""

from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from service.settings import Settings
from tests.browser import WAIT_SECONDS
from tests.support.changed_settings import changed
from tests.support.made_labels import select_again, write_labels

FIRST = [[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.45, 0.55], [0.7, 0.3], [0.52, 0.48]]
SECOND = [[0.95, 0.05], [0.1, 0.9], [0.3, 0.7], [0.8, 0.2], [0.99, 0.01], [0.6, 0.4]]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return changed(settings, access__allowed_hosts=("testserver", "127.0.0.1"))


@pytest.fixture
def labeled_run(finished_run: str, settings: Settings, tmp_path: Path) -> str:
    folder = Path(settings.artifact_root) / "runs" / finished_run
    for generation, probabilities in ((1, FIRST), (2, SECOND)):
        write_labels(folder, generation, tmp_path / "images" / "unlabeled.parquet", probabilities)
        select_again(folder, generation)
    return finished_run


def cards(browser: Chrome) -> list[WebElement]:
    return browser.find_elements(By.CSS_SELECTOR, "#grid > li")


def press(browser: Chrome, *keys: str) -> None:
    for key in keys:
        browser.switch_to.active_element.send_keys(key)


def names(browser: Chrome) -> list[str]:
    return [card.get_attribute("aria-label") or "" for card in cards(browser)]


def until(browser: Chrome, holds: Callable[[], bool]) -> None:
    WebDriverWait(browser, WAIT_SECONDS).until(lambda _: holds())


def test_labels_are_marked_and_unmarked_by_keys_alone(
    server: str, browser: Chrome, client: TestClient, labeled_run: str
) -> None:
    browser.get(f"{server}/ui/runs/{labeled_run}")
    link = f"/ui/runs/{labeled_run}/generations/1/review"
    until(browser, lambda: bool(browser.find_elements(By.CSS_SELECTOR, f"a[href='{link}']")))
    browser.get(f"{server}{link}")
    until(browser, lambda: len(cards(browser)) == 6)
    assert names(browser)[0] == "cat, 52.0\u00a0%"
    until(browser, lambda: all(picture.get_property("naturalWidth") == 8 for picture in pictures(browser)))
    assert all(
        (picture.get_attribute("alt") or "").startswith("Image unlabeled.parquet:") for picture in pictures(browser)
    )

    browser.find_element(By.ID, "selected").send_keys(Keys.TAB)  # to the undo button, which is disabled: to the grid
    until(browser, lambda: browser.switch_to.active_element == cards(browser)[0])
    press(browser, "w")
    until(browser, lambda: names(browser)[0].endswith("marked: not cat"))
    until(browser, lambda: browser.switch_to.active_element == cards(browser)[1])
    press(browser, "c", "cat", Keys.ENTER)
    until(browser, lambda: names(browser)[1].endswith("marked: cat"))
    press(browser, "r")
    until(browser, lambda: names(browser)[2].endswith("marked: right"))
    marks = client.get(f"/runs/{labeled_run}/marks").json()["items"]
    assert [(mark["row"], mark["verdict"]) for mark in marks] == [(1, "right"), (3, "class"), (5, "wrong")]

    press(browser, "u", "u")
    until(browser, lambda: [("marked" in name) for name in names(browser)] == [True] + [False] * 5)
    assert [mark["row"] for mark in client.get(f"/runs/{labeled_run}/marks").json()["items"]] == [5]
    press(browser, Keys.ARROW_RIGHT)
    assert browser.switch_to.active_element == cards(browser)[2]
    complaints = [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert complaints == []


def pictures(browser: Chrome) -> list[WebElement]:
    return browser.find_elements(By.CSS_SELECTOR, "#grid img")


def test_filters_are_part_of_the_address(server: str, browser: Chrome, labeled_run: str) -> None:
    browser.set_window_size(1280, 900)
    browser.get(f"{server}/ui/runs/{labeled_run}/generations/1/review?order=disagrees&class=dog")
    until(browser, lambda: names(browser) == ["dog, 55.0\u00a0%"])
    assert "its student: cat" in cards(browser)[0].text
    browser.find_element(By.ID, "class").send_keys("all")
    until(browser, lambda: len(cards(browser)) == 2)
    assert browser.current_url.endswith("/review?order=disagrees")
