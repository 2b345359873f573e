"""A real browser: Debian's chromium, driven by selenium. Both Debian packages are installed by `.ci/run`."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from selenium import webdriver

TEAM_HOST = "team.example"
"""A name that leads the browser to this machine but is not loopback's. So the browser does not trust plain http there,
and omits Sec-Fetch-Site."""
WAIT_SECONDS = 20


@contextmanager
def open_browser() -> Iterator[webdriver.Chrome]:
    """A fresh browser without cookies. Skips the test if there is no browser; in CI that is an error."""
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if browser is None or driver is None:
        reason = "no browser: apt-get install chromium chromium-driver"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for argument in (
        "--headless=new",
        "--no-sandbox",  # containers have only root, as whom it does not start otherwise
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--no-proxy-server",
        f"--host-resolver-rules=MAP {TEAM_HOST} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    chrome.set_page_load_timeout(WAIT_SECONDS)
    try:
        yield chrome
    finally:
        chrome.quit()
