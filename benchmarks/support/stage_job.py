"""Runs a stage as its real process, `python -m workers.entrypoint SPEC`, which can be killed and submitted again."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.support.private_ray import PrivateRay
from workers.artifact_io import join_uri, write_bytes
from workers.specs.reports import Progress
from workers.specs.results import STAGE_RESULT, AnyStageResult
from workers.specs.stages import FAILURE_FILE, PROGRESS_FILE, RESULT_FILE, AnyStageSpec, spec_name

TIMEOUT_SECONDS = 240.0
POLL_SECONDS = 0.02


class StageJob:
    """The stage of one spec, one attempt after another. `results` is the glob pattern of the files that it writes.

    Its standard output and error go to a log next to its folder.
    """

    def __init__(self, spec: AnyStageSpec, results: str, ray: PrivateRay) -> None:
        self.folder = Path(spec.folder_uri)
        self.attempt = 0
        self._spec = spec
        self._results = results
        self._ray = ray
        self._driver: subprocess.Popen[bytes] | None = None
        self._drivers: list[subprocess.Popen[bytes]] = []
        self._seen: dict[str, int] = {}
        self.replaced = 0
        """Result files that were written again although they existed."""
        self.finished_at_last_start = 0
        self.folder.mkdir(parents=True)

    def start_attempt(self) -> None:
        """Starts the next attempt as the control plane does: writes the spec first, then starts the job."""
        self.attempt += 1
        self.finished_at_last_start = self.finished()
        spec = self._spec.model_copy(update={"attempt": self.attempt})
        spec_uri = join_uri(spec.folder_uri, spec_name(self.attempt))
        write_bytes(spec_uri, spec.model_dump_json().encode())
        with (self.folder.parent / f"{self.folder.name}.log").open("ab") as log:
            self._driver = subprocess.Popen(
                [sys.executable, "-m", "workers.entrypoint", spec_uri],
                env={
                    **os.environ,
                    "RAY_ADDRESS": self._ray.address,
                    "RAY_AUTH_MODE": "disabled",
                    "OMP_NUM_THREADS": "1",
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            self._drivers.append(self._driver)

    def kill_driver(self) -> None:
        assert self._driver is not None
        self._driver.kill()
        self._driver.wait(timeout=10)

    def close(self) -> None:
        """Ends drivers that have outlived their head or this job."""
        for driver in self._drivers:
            driver.kill()
            driver.wait(timeout=10)

    def finished(self) -> int:
        """How many result files exist. It also records those that were replaced since the last call."""
        for file in self.folder.glob(self._results):
            inode = file.stat().st_ino
            self.replaced += self._seen.get(file.name, inode) != inode
            self._seen[file.name] = inode
        return len(self._seen)

    def has_ended(self) -> bool:
        """Whether there is a result. Raises RuntimeError if there is a failure, or if the driver died by itself."""
        assert self._driver is not None
        if (self.folder / RESULT_FILE).exists():
            return True
        code = self._driver.poll()
        if code is not None and not (self.folder / RESULT_FILE).exists():
            failure = self.folder / FAILURE_FILE
            raise RuntimeError(failure.read_text() if failure.exists() else f"the driver ended with code {code}")
        return False

    def wait_for(self, is_so: Callable[[Progress], bool]) -> Progress:
        """Waits until the stage has reported such progress, and returns it. Raises RuntimeError if the stage ends
        before, and TimeoutError if it takes too long."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        file = self.folder / PROGRESS_FILE
        while time.monotonic() < deadline:
            if self.has_ended():
                raise RuntimeError("the stage ended before")
            if file.exists() and is_so(found := Progress.model_validate_json(file.read_bytes())):
                return found
            time.sleep(POLL_SECONDS)
        raise TimeoutError(file.read_text() if file.exists() else "no progress")

    def wait(self) -> AnyStageResult:
        """Waits for the stage's end and returns its result. Raises TimeoutError if it takes too long."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not self.has_ended():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.finished()} files after {TIMEOUT_SECONDS} s")
            self.finished()
            time.sleep(POLL_SECONDS)
        assert self._driver is not None
        self._driver.wait(timeout=30)
        return STAGE_RESULT.validate_json((self.folder / RESULT_FILE).read_bytes())
