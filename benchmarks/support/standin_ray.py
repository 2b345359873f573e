"""A stand-in for Ray's jobs API without a cluster. It takes as long to respond as a head, and its jobs do as told.

It serves to measure the control plane alone, with a thousand jobs on a machine that could not run ten.
"""

import json
import shlex
import threading
import time
from collections.abc import Callable, Iterable
from http.server import ThreadingHTTPServer
from types import TracebackType
from typing import Any

from benchmarks.support.loopback_handler import LoopbackHandler

LIST_SECONDS_A_JOB, QUESTION_SECONDS = 0.0011, 0.009
"""How long a head of Ray 2.60 took on two cores to list 1,000 jobs, and to respond for one."""
_ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
_ACCOUNT = {
    "type": "SUBMISSION",
    "entrypoint": "python -m workers.entrypoint /data/artifacts/runs/run-000001/gen-3/train/specs/a1.json",
    "status": "RUNNING",
    "message": "Job is currently running.",
    "error_type": None,
    "start_time": 1_800_000_000_000,
    "end_time": None,
    "metadata": {"run_id": "run-000001", "generation": "3", "stage": "train", "attempt": "1"},
    "runtime_env": {},
    "driver_info": {"id": "01000000", "node_ip_address": "127.0.0.1", "pid": "12345"},
    "job_id": "01000000",
    "driver_agent_http_address": "http://127.0.0.1:52365",
    "driver_node_id": "f3a0d6f0ec7f1a0de10d2eb31ad0a0d6f0ec7f1a0de10d2eb31ad0a0",
    "driver_exit_code": None,
}


class StandInRay:
    """A context manager that listens on a free loopback port. It is thread-safe.

    It calls `play` with the spec URI of each submitted job; the result is the job's status from then on. If there is a
    `token`, requests without it are refused.
    """

    def __init__(self, play: Callable[[str], str] = lambda _: "RUNNING", token: str | None = None) -> None:
        self._play = play
        self.token = token
        self._lock = threading.Lock()
        self._jobs: dict[str, dict[str, Any]] = {}
        self._listed: bytes | None = None
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.ray = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "StandInRay":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def add_running(self, submission_ids: Iterable[str]) -> None:
        """Adds running jobs that nobody has submitted here."""
        for submission_id in submission_ids:
            self._set(submission_id, status="RUNNING")

    def answer(self, method: str, path: str, body: dict[str, Any] | None) -> tuple[int, bytes]:
        """The status and content with which Ray would respond, after the time that Ray would take."""
        if path == "/api/jobs/" and method == "GET":
            return 200, self._list()
        time.sleep(QUESTION_SECONDS)
        if path == "/api/version":
            return 200, json.dumps({"version": "4", "ray_version": "2.60.0"}).encode()
        if path == "/api/jobs/" and method == "POST":
            assert body is not None
            name = body["submission_id"]
            self._set(name, status=self._play(shlex.split(body["entrypoint"])[-1]), metadata=body["metadata"])
            return 200, json.dumps({"submission_id": name}).encode()
        return self._about_one(method, *path.removeprefix("/api/jobs/").partition("/")[::2])

    def _about_one(self, method: str, name: str, what: str) -> tuple[int, bytes]:
        with self._lock:
            job = self._jobs.get(name)
        if job is None:
            return 404, b"Job does not exist"
        if method == "DELETE":
            with self._lock:
                del self._jobs[name]
                self._listed = None
            return 200, b"{}"
        if what == "stop":
            if job["status"] not in _ENDED:
                self._set(name, status="STOPPED")
            return 200, b'{"stopped": true}'
        if what == "logs":
            return 200, json.dumps({"logs": "a line that a stage printed\n" * 500}).encode()
        return 200, json.dumps(job).encode()

    def _set(self, name: str, **changes: Any) -> None:
        with self._lock:
            self._jobs[name] = {**self._jobs.get(name, _ACCOUNT), "submission_id": name, **changes}
            self._listed = None

    def _list(self) -> bytes:
        time.sleep(LIST_SECONDS_A_JOB * len(self._jobs))
        with self._lock:
            if self._listed is None:
                self._listed = json.dumps(list(self._jobs.values())).encode()
            return self._listed


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    ray: StandInRay


class _Handler(LoopbackHandler):
    server: _Server

    def serve(self, body: bytes) -> None:
        ray = self.server.ray
        if ray.token is not None and self.headers.get("Authorization") != f"Bearer {ray.token}":
            self.reply(401, b"Unauthorized")
        else:
            self.reply(*ray.answer(self.command, self.path, json.loads(body) if body else None))
