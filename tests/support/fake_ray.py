"""A fake of Ray's jobs API as a real HTTP server, whose jobs do what the test says."""

import json
import shlex
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from typing import Any

from benchmarks.support.loopback_handler import LoopbackHandler
from tests.support.made_results import made_result
from workers.artifact_io import join_uri, read_bytes, write_bytes
from workers.specs.reports import FailureReason, StageFailure
from workers.specs.results import STAGE_RESULT, AnyStageResult, StageTiming
from workers.specs.stages import FAILURE_FILE, RESULT_FILE, STAGE_SPEC, AnyStageSpec

STARTED_AT = 1_800_000_000.0
"""The time at which tests start, in Unix seconds."""


@dataclass
class FakeRay:
    """Ray's jobs API over real HTTP. Its jobs do what the test says."""

    url: str = ""
    token: str | None = None
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    submits: list[dict[str, Any]] = field(default_factory=list)
    """The bodies of all submissions, including refused ones."""
    stops: list[str] = field(default_factory=list)
    nodes: list[dict[str, Any]] = field(default_factory=list)
    """What the state API says of the nodes."""
    answers: list[tuple[int, str]] = field(default_factory=list)
    """Responses that the next requests get, whatever they ask for."""
    down: bool = False
    stop_ends_jobs: bool = True
    connections: int = 0

    def spec_of(self, job_id: str) -> AnyStageSpec:
        """The spec with which the job was submitted, read as the stage would read it."""
        spec_uri = shlex.split(self.jobs[job_id]["entrypoint"])[-1]
        return STAGE_SPEC.validate_json(read_bytes(spec_uri))

    def write_result(self, job_id: str, timing: StageTiming | None = None) -> None:
        """Writes the stage's result, as the stage does last. The Ray job keeps running."""
        spec = self.spec_of(job_id)
        timing = timing or StageTiming(entered_at=STARTED_AT, work_started_at=STARTED_AT, work_ended_at=STARTED_AT)
        result = made_result(spec, timing, top1=0.5 + spec.generation / 10)
        write_bytes(join_uri(spec.folder_uri, RESULT_FILE), result.model_dump_json().encode())

    def result_of(self, job_id: str) -> AnyStageResult:
        """The result that the stage has written."""
        return STAGE_RESULT.validate_json(read_bytes(join_uri(self.spec_of(job_id).folder_uri, RESULT_FILE)))

    def write_failure(self, job_id: str, reason: FailureReason, message: str = "it went wrong") -> None:
        spec = self.spec_of(job_id)
        failure = StageFailure(attempt=spec.attempt, reason=reason, message=message)
        write_bytes(join_uri(spec.folder_uri, FAILURE_FILE), failure.model_dump_json().encode())

    def end(self, job_id: str, status: str = "SUCCEEDED", message: str = "") -> None:
        self.jobs[job_id].update(status=status, message=message)

    def answer(self, method: str, path: str, body: dict[str, Any] | None, authorization: str) -> tuple[int, str]:
        """The status and the text with which Ray 2.60 responds."""
        if self.down:
            return 503, "the head is away"
        if self.answers:
            return self.answers.pop(0)
        if self.token is not None and authorization != f"Bearer {self.token}":
            return 401, "Unauthorized"
        if (method, path) == ("GET", "/api/version"):
            return 200, json.dumps({"version": "4", "ray_version": "2.60.0", "ray_commit": "", "session_name": ""})
        if (method, path) == ("GET", "/api/v0/nodes"):
            return 200, json.dumps({"result": True, "msg": "", "data": {"result": {"result": self.nodes}}})
        if (method, path) == ("GET", "/api/jobs/"):
            return 200, json.dumps(list(self.jobs.values()))
        if (method, path) == ("POST", "/api/jobs/"):
            assert body is not None
            return self._submit(body)
        if method == "DELETE":
            return self._delete(path.removeprefix("/api/jobs/"))
        return self._about_job(path.removeprefix("/api/jobs/"))

    def _delete(self, job_id: str) -> tuple[int, str]:
        if job_id not in self.jobs:
            return 404, f"Job {job_id} does not exist"
        status = self.jobs[job_id]["status"]
        if status in ("PENDING", "RUNNING"):
            return 500, f"RuntimeError: Attempted to delete job '{job_id}', but it is in a non-terminal state {status}."
        del self.jobs[job_id]
        return 200, json.dumps({"deleted": True})

    def _submit(self, body: dict[str, Any]) -> tuple[int, str]:
        self.submits.append(body)
        job_id = body["submission_id"]
        if job_id in self.jobs:
            return 500, f"Traceback...\nRuntimeError: Job with submission_id {job_id} already exists."
        self.jobs[job_id] = {**body, "status": "RUNNING", "message": "", "logs": ""}
        return 200, json.dumps({"job_id": job_id, "submission_id": job_id})

    def _about_job(self, path: str) -> tuple[int, str]:
        job_id, _, what = path.partition("/")
        if job_id not in self.jobs:
            return 404, f"Job {job_id} does not exist"
        if what == "stop":
            self.stops.append(job_id)
            if self.stop_ends_jobs:
                self.end(job_id, "STOPPED")
            return 200, json.dumps({"stopped": True})
        if what == "logs":
            return 200, json.dumps({"logs": self.jobs[job_id]["logs"]})
        return 200, json.dumps(self.jobs[job_id])


class FakeRayServer(ThreadingHTTPServer):
    """An HTTP server that responds as `fake` says."""

    daemon_threads = True
    fake = FakeRay()


class FakeRayHandler(LoopbackHandler):
    server: FakeRayServer

    def setup(self) -> None:
        self.server.fake.connections += 1
        super().setup()

    def serve(self, body: bytes) -> None:
        asked = json.loads(body) if body else None
        status, answer = self.server.fake.answer(self.command, self.path, asked, self.headers.get("Authorization", ""))
        self.reply(status, answer.encode())
