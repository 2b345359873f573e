"""The local stack's API responds to holders of its key, which its own command line and page send by themselves."""

import json
import os
import pwd
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.expected_conditions import presence_of_element_located
from selenium.webdriver.support.wait import WebDriverWait

from noisy_student.cli.commands.link import page_address
from noisy_student.client import Client
from noisy_student.local.process_family import command_of
from noisy_student.local.stack import LocalStack, StackError
from noisy_student.own_keys import own_key
from service.access.api_keys import split_key
from tests.browser import WAIT_SECONDS, open_browser

pytestmark = pytest.mark.attack

_OTHER_USER = """
import json, os, sys
import encodings.idna, httpx

user, group, api, paths, files = json.load(sys.stdin)
httpx.Client(trust_env=False).close()
os.setgroups([])
os.setgid(group)
os.setuid(user)
answers = {path: httpx.get(api + path, trust_env=False).status_code for path in paths}
body = {"name": "x", "role": "unlabeled", "uri": "/etc"}
answers["POST"] = httpx.post(api + "/datasets", json=body, trust_env=False).status_code

def reads(path):
    try:
        return bool(os.listdir(path) if os.path.isdir(path) else open(path, "rb").read(1))
    except OSError:
        return False

print(json.dumps([answers, [path for path in files if reads(path)]]))
"""
_OPEN = {"/healthz"}


def test_the_command_line_finds_the_key_by_itself(stack: LocalStack) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "noisy_student.cli.main", "runs", "list", "-o", "json", "--api", stack.api_url],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) is not None
    assert own_key(stack.api_url) == stack.api_key


def test_without_the_key_only_the_liveness_answers(stack: LocalStack) -> None:
    with httpx.Client(base_url=stack.api_url, trust_env=False) as stranger:
        paths = list(httpx.get(f"{stack.api_url}/openapi.json", headers=stack.api_headers).json()["paths"])
        answers = {path: stranger.get(path).status_code for path in [*paths, "/", "/docs", "/openapi.json", "/ray/"]}
    assert answers.pop("/healthz") == 200
    assert set(answers.values()) == {401}


def test_another_user_of_the_machine_is_refused(stack: LocalStack) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can become another user")
    other = pwd.getpwnam("nobody")
    files = [str(path) for path in (stack.home, *stack.home.rglob("*"))]
    question = [other.pw_uid, other.pw_gid, stack.api_url, ["/runs", "/me", "/ray/api/jobs/", "/ui/enter"], files]
    done = subprocess.run(
        [sys.executable, "-c", _OTHER_USER], input=json.dumps(question), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    answers, readable = json.loads(done.stdout)
    assert set(answers.values()) == {401}
    assert readable == []


def test_what_the_stack_keeps_is_its_users_alone(stack: LocalStack) -> None:
    """Ray's folder and the token in it are private. Drivers open up Ray's folder within it, which stays unreachable."""
    token = next(path for path in stack.ray.folder.iterdir() if path.is_file() and stack.ray.token in path.read_text())
    kept = [stack.home, *stack.home.rglob("*"), stack.ray.folder, token]
    assert any(path.name == "noisy-student.db" for path in kept)
    open_to_others = [path for path in kept if not path.is_symlink() and path.stat().st_mode & 0o077]
    assert open_to_others == []


def test_a_link_opens_the_page_once_and_rays_dashboard_through_it(stack: LocalStack, client: Client) -> None:
    link = page_address(client)
    with httpx.Client(follow_redirects=True, trust_env=False) as browser:
        page = browser.get(link, headers={"Accept": "text/html"})
        assert (page.status_code, str(page.url)) == (200, f"{stack.api_url}/")
        assert "Ray Dashboard" in browser.get(f"{stack.api_url}/ray/").text
        assert browser.get(f"{stack.api_url}/ray/api/version").json()["ray_version"].startswith("2.")
        assert browser.get(f"{stack.api_url}/readyz").json()["ready"] is True
    assert httpx.get(link, trust_env=False).status_code == 401


def test_a_browser_that_comes_by_the_link_shows_runs_and_rays_dashboard(stack: LocalStack, client: Client) -> None:
    with open_browser() as browser:
        browser.set_page_load_timeout(3 * WAIT_SECONDS)  # megabytes of scripts, while a Ray starts
        wait = WebDriverWait(browser, 3 * WAIT_SECONDS)
        browser.get(page_address(client))
        wait.until(presence_of_element_located((By.CSS_SELECTOR, "body[data-page=runs]")))
        assert browser.current_url == f"{stack.api_url}/"
        browser.get(f"{stack.api_url}/ray/#/jobs")
        wait.until(lambda _: "Job ID" in browser.find_element(By.TAG_NAME, "body").text)
        assert "oken" not in browser.find_element(By.TAG_NAME, "body").text  # it asks for no token


def test_a_name_that_is_not_this_machines_is_refused(stack: LocalStack) -> None:
    for path in ("/runs", "/ray/", "/ray/api/jobs/"):
        answer = httpx.get(stack.api_url + path, headers={**stack.api_headers, "Host": "evil.example"}, trust_env=False)
        assert answer.status_code == 403


def test_where_a_request_is_from_is_not_for_its_headers_to_say(stack: LocalStack) -> None:
    headers = {**stack.api_headers, "X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https"}
    answer = httpx.post(f"{stack.api_url}/runs/run-none/cancel", headers=headers, trust_env=False)
    assert answer.status_code == 404
    assert "Strict-Transport-Security" not in answer.headers
    entry = httpx.get(f"{stack.api_url}/audit", headers=stack.api_headers, trust_env=False).json()["items"][0]
    assert (entry["path"], entry["address"]) == ("/runs/run-none/cancel", "127.0.0.1")


def test_nothing_of_the_stacks_own_is_a_dataset(stack: LocalStack) -> None:
    body = {"name": "own", "role": "unlabeled", "uri": str(stack.home / "artifacts")}
    answer = httpx.post(f"{stack.api_url}/datasets", json=body, headers=stack.api_headers, trust_env=False)
    assert answer.status_code == 422
    assert "own files" in answer.text


def test_the_key_is_in_no_command_line_no_log_and_no_database(stack: LocalStack) -> None:
    key = split_key(stack.api_key)
    assert key is not None
    secret = key[1]
    assert [each for each in psutil.process_iter() if secret in command_of(each)] == []
    files = [path for path in stack.home.rglob("*") if path.is_file()]
    assert any(path.name == "noisy-student.db" for path in files)
    assert [path for path in files if secret.encode() in path.read_bytes()] == []


def test_a_port_that_is_anothers_is_not_taken_for_ours(stack: LocalStack, tmp_path: Path) -> None:
    taken = int(stack.api_url.rpartition(":")[2])
    with pytest.raises(StackError, match=f"port {taken}"), LocalStack(tmp_path, api_port=taken):
        pass
    assert own_key(stack.api_url) == stack.api_key


def test_the_port_is_the_stacks_from_its_start_to_its_end_whichever_part_of_it_lives(tmp_path: Path) -> None:
    """Anyone who listened there before the API, or while it restarts, would receive the key."""
    tried = []

    class Watched(LocalStack):
        def start_ray(self) -> None:
            tried.append(can_listen())
            super().start_ray()

        def start_api(self) -> None:
            tried.append(can_listen())
            super().start_api()

    def can_listen() -> bool:
        try:
            socket.create_server(("127.0.0.1", int(stack.api_url.rpartition(":")[2]))).close()
        except OSError:
            return False
        return True

    stack = Watched(tmp_path / "home")
    with stack:
        psutil.Process(stack.pid_of("api")).kill()
        psutil.wait_procs([psutil.Process(stack.pid_of("api"))], timeout=20)
        tried.append(can_listen())
        with Client(stack.api_url, stack.api_key) as client:
            stack.supervise()
            assert client.service.me().scope == "admin"
    assert tried == [False] * len(tried)
    assert can_listen()
