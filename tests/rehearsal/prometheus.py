"""A real Prometheus beside a rehearsal. It scrapes the service, and Ray's processes as Ray itself lists them."""

import json
import re
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.deploy.tools import prometheus

_ADDRESS = "127.0.0.1:19090"
_START_SECONDS = 60.0
_SECONDS = {"s": 1, "m": 60, "h": 3600}
_LONGEST_WAIT = re.compile(r"(queue_oldest_wait_seconds\) > )(\d+)")


class Prometheus:
    """A running Prometheus that looks every second."""

    def __init__(self) -> None:
        self._client = httpx.Client(base_url=f"http://{_ADDRESS}", timeout=30, trust_env=False)

    def close(self) -> None:
        self._client.close()

    def is_ready(self) -> bool:
        try:
            return self._client.get("/-/ready").is_success
        except httpx.TransportError:
            return False

    def names(self) -> set[str]:
        """The names of all series so far, also of those that are over."""
        return set(self._data("/api/v1/label/__name__/values"))

    def firing(self) -> set[str]:
        """The alerts that fire now."""
        alerts = self._data("/api/v1/alerts")["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    def refusal(self, expression: str) -> str:
        """Why the expression cannot be evaluated; empty if it can."""
        return str(self._client.get("/api/v1/query", params={"query": expression}).json().get("error", ""))

    def _data(self, path: str) -> Any:
        answer = self._client.get(path)
        answer.raise_for_status()
        return answer.json()["data"]


def hurried(rules: str, factor: float) -> dict[str, Any]:
    """The rules with durations multiplied by `factor`: how long an alert must hold, and how long a stage may wait.

    Everything else, and with it what each alert asks, stays as it is.
    """
    read: dict[str, Any] = yaml.safe_load(rules)
    for rule in (rule for group in read["groups"] for rule in group["rules"]):
        if "for" in rule:
            rule["for"] = f"{max(1, round(_seconds(rule['for']) * factor))}s"
        rule["expr"] = _LONGEST_WAIT.sub(lambda found: f"{found[1]}{int(found[2]) * factor:g}", rule["expr"])
    return read


def _seconds(duration: str) -> int:
    return int(duration[:-1]) * _SECONDS[duration[-1]]


@contextmanager
def scraping(
    folder: Path, rules: Sequence[Mapping[str, Any]], targets: Mapping[str, Sequence[str]], ray_targets: Path
) -> Iterator[Prometheus]:
    """Runs Prometheus in `folder` during the `with` block. `ray_targets` is the file where Ray lists its processes."""
    for number, each in enumerate(rules):
        (folder / f"rules-{number}.yaml").write_text(yaml.safe_dump(each), encoding="utf-8")
    jobs: list[dict[str, Any]] = [
        {"job_name": job, "static_configs": [{"targets": list(addresses)}]} for job, addresses in targets.items()
    ]
    jobs.append({"job_name": "ray", "file_sd_configs": [{"files": [str(ray_targets)], "refresh_interval": "2s"}]})
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(folder / "rules-*.yaml")],
        "scrape_configs": jobs,
    }
    (folder / "prometheus.yml").write_text(json.dumps(config), encoding="utf-8")
    command = [
        str(prometheus()),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={_ADDRESS}",
    ]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    found = Prometheus()
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not found.is_ready():
            assert process.poll() is None, (folder / "prometheus.log").read_text(encoding="utf-8")
            assert time.monotonic() < deadline, "Prometheus does not answer"
            time.sleep(0.2)
        yield found
    finally:
        found.close()
        process.terminate()
        process.wait(timeout=30)
