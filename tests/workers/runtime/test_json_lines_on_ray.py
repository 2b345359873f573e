"""With JSON logs, every line that a driver and its actors log on a real Ray is an object that names the attempt."""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.limits import END_TO_END_LIMIT_SECONDS
from tests.support.network_namespace import network_of_its_own

REPOSITORY = Path(__file__).parents[3]
OF_CPP = re.compile(r"\[\d{4}-\d{2}-\d{2} ")
"""How a line of Ray's C++ parts begins, which logs without Python."""
DRIVER = """
import logging, os, sys, warnings
from workers.runtime.cluster import join_cluster
from workers.specs.selection import SelectionSettings
from workers.specs.stages import SelectSpec
from workers.specs.telemetry import Telemetry
from workers.telemetry.stage_processes import logs_environment, logs_of
spec = SelectSpec(
    run_id="run-1", generation=2, attempt=3, folder_uri="/f", seed=0, manifest_uri="/m", labels_uri="/l",
    classes=("a", "b"), settings=SelectionSettings(), telemetry=Telemetry(log_format="json", request_id="r-1"),
)
logs_of(spec).configure_driver()
os.environ.update(logs_environment(logs_of(spec)))
join_cluster()
import ray
logging.getLogger("workers.driver").info("the driver has joined")
logging.getLogger("ray.data").warning("Ray Data in the driver")

class Speaker:
    def speak(self):
        logging.getLogger("workers.actor").info("the actor speaks")
        logging.getLogger("ray.train").warning("Ray Train in the actor")
        warnings.warn("the actor warns")
        return os.getpid()

speakers = [ray.remote(num_cpus=0)(Speaker).remote() for _ in range(2)]
pids = ray.get([speaker.speak.remote() for speaker in speakers])
logging.getLogger("workers.driver").info("actors %s", pids)
sys.stdin.readline()  # until the actors' lines have come
"""


@pytest.mark.own_process
@pytest.mark.end_to_end
@pytest.mark.long
@pytest.mark.timeout(END_TO_END_LIMIT_SECONDS)
def test_lines_of_a_driver_and_of_its_actors_are_objects_that_name_the_attempt() -> None:
    # Short, because the paths of Ray's sockets may have at most 107 bytes.
    environment = {
        **os.environ,
        "RAY_TMPDIR": tempfile.mkdtemp(prefix="r"),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "disabled",
    }
    command = [sys.executable, "-c", DRIVER]
    with (
        network_of_its_own(),
        subprocess.Popen(
            command, cwd=REPOSITORY, env=environment, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as driver,
    ):
        assert driver.stderr is not None
        written: list[str] = []
        awaited = ("the actor warns", "the actor warns", "actors [")
        while any(sum(text in line for line in written) < awaited.count(text) for text in awaited):
            written.append(driver.stderr.readline())
            assert written[-1], "".join(written)
        driver.communicate("\n", timeout=60)
    lines = [json.loads(line) for line in written if not OF_CPP.match(line)]
    common = {"run": "run-1", "generation": 2, "stage": "select", "attempt": 3, "request_id": "r-1"}
    assert all(common.items() <= line.items() for line in lines)
    assert all({"asctime", "levelname", "name", "message", "process"} <= line.keys() for line in lines)

    def told(component: str, name: str) -> list[str]:
        return [line["message"] for line in lines if (line["component"], line["name"]) == (component, name)]

    pids = {line["process"] for line in lines if line["name"] == "workers.actor"}
    assert told("worker", "workers.actor") == ["the actor speaks"] * 2
    assert told("worker", "ray.train") == ["Ray Train in the actor"] * 2
    assert len([text for text in told("worker", "py.warnings") if "the actor warns" in text]) == 2
    assert told("driver", "ray.data") == ["Ray Data in the driver"]
    assert told("driver", "workers.driver")[0] == "the driver has joined"
    assert all(str(pid) in told("driver", "workers.driver")[1] for pid in pids)
