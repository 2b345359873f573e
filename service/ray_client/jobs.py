"""A thin client of Ray's jobs REST API: submit, status of one or all, stop, logs, delete, version.

https://docs.ray.io/en/latest/cluster/running-applications/job-submission/rest.html
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import httpx

from service.errors import RayDoesNotAnswer, RayUnavailable
from service.port_owner import is_anothers
from service.ray_client.job_status import JobStatus
from service.ray_client.log_tail import end_of_log

TIMEOUT_SECONDS = 15.0
"""Ray itself waits 10 s for its agent before it answers 500."""
CONNECT_TIMEOUT_SECONDS = 3.0


class JobRejected(Exception):
    """Ray refuses the job as it is; asking again does not help."""


@dataclass(frozen=True)
class JobInfo:
    """What Ray says of a job. `message` is Ray's own account, for people."""

    status: JobStatus
    message: str = ""


def refuse_anothers(request: httpx.Request) -> None:
    """Raises httpx.ConnectError where another user's program has taken the port of a Ray of ours: whatever comes with
    the token is run as our user."""
    if is_anothers(str(request.url)):
        raise httpx.ConnectError("another user's program listens there: Ray's token is not sent to it", request=request)


class RayJobs:
    """One kept-alive connection pool to one Ray head. Thread-safe. `is_own`: a Ray of this user's, on this machine.

    Every method raises RayUnavailable where Ray answers 5xx or refuses our token, and RayDoesNotAnswer, which is one
    too, where it does not answer in time.
    """

    def __init__(
        self, url: str, token: str | None = None, timeout_seconds: float = TIMEOUT_SECONDS, is_own: bool = False
    ) -> None:
        self._url = url
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        # The head is inside the cluster's network, never behind the proxy of the environment.
        timeout = httpx.Timeout(timeout_seconds, connect=min(timeout_seconds, CONNECT_TIMEOUT_SECONDS))
        hooks = {"request": [refuse_anothers]} if is_own else {}
        self._client = httpx.Client(base_url=url, headers=headers, timeout=timeout, trust_env=False, event_hooks=hooks)

    @cached_property
    def _stranger(self) -> httpx.Client:
        """Shows no token. Kept: making a client takes longer than what it is asked for."""
        return httpx.Client(base_url=self._url, timeout=CONNECT_TIMEOUT_SECONDS, trust_env=False)

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()
        self._stranger.close()

    def submit(self, submission_id: str, python_executable: str, spec_uri: str, metadata: Mapping[str, str]) -> None:
        """Submits the stage whose spec is at `spec_uri`; that Ray has the job already counts as success.

        Raises JobRejected where Ray refuses the request itself.
        """
        body = {
            "submission_id": submission_id,
            "entrypoint": shlex.join([python_executable, "-m", "workers.entrypoint", spec_uri]),
            # The driver only waits for its workers: reserving a CPU for it would take that from them.
            "entrypoint_num_cpus": 0,
            "metadata": dict(metadata),
        }
        response = self._send("POST", "/api/jobs/", json=body)
        if response.status_code >= 400 and "already exists" in response.text:
            return
        self._raise_for_server_error(response)
        if response.status_code >= 400:
            raise JobRejected(_last_line(response))

    def status(self, submission_id: str) -> JobInfo:
        """The job's status; UNKNOWN where Ray says that it has no such job, which a proxy's 404 does not."""
        response = self._send("GET", f"/api/jobs/{submission_id}")
        if _has_no_such_job(response):
            return JobInfo(JobStatus.UNKNOWN)
        return _job_info(submission_id, self._json(response))

    def statuses(self) -> dict[str, JobInfo]:
        """The status of every submitted job that Ray knows, by submission id; without those it says nonsense of."""
        answer = self._json_value(self._send("GET", "/api/jobs/"))
        if not isinstance(answer, list) or not all(isinstance(job, dict) for job in answer):
            raise RayUnavailable("Ray's jobs API answered something else than a list of jobs")
        found = {str(job["submission_id"]): job for job in answer if job.get("submission_id")}
        return {name: _job_info(name, job) for name, job in found.items() if job.get("status") in set(JobStatus)}

    def stop(self, submission_id: str) -> None:
        """Asks Ray to stop the job and returns at once; a job that Ray does not know is stopped."""
        response = self._send("POST", f"/api/jobs/{submission_id}/stop")
        if not _has_no_such_job(response):
            self._json(response)

    def log_end(self, submission_id: str, max_bytes: int) -> bytes | None:
        """The last whole lines of the job's log, at most `max_bytes` of them; None where Ray has no such job.

        Streamed: however long the log, only so much is held.
        """
        path = f"/api/jobs/{submission_id}/logs"
        try:
            with self._client.stream("GET", path) as response:
                if response.status_code >= 400:
                    response.read()
                    if _has_no_such_job(response):
                        return None
                    self._raise_for_server_error(response)
                    raise RayUnavailable(f"Ray's jobs API answered {response.status_code} when asked for a log")
                return end_of_log(response.iter_bytes(), max_bytes)
        except httpx.HTTPError as error:
            raise self._silence(error) from error
        except ValueError as error:
            raise RayUnavailable(f"Ray's answer is not the log of {submission_id}: {error}") from error

    def delete(self, submission_id: str) -> None:
        """Makes Ray forget a job that has ended; one that it does not know is deleted."""
        response = self._send("DELETE", f"/api/jobs/{submission_id}")
        if not _has_no_such_job(response):
            self._json(response)

    def version(self) -> str:
        """Ray's version."""
        return str(self._json(self._send("GET", "/api/version")).get("ray_version", ""))

    def answers_without_token(self) -> bool:
        """Whether Ray's API, which runs whatever it is sent, answers somebody who shows no token."""
        try:
            response = self._stranger.get("/api/version")
        except httpx.HTTPError as error:
            raise RayUnavailable(f"Ray's jobs API at {self._url} does not answer: {error}") from error
        return response.status_code not in (401, 403)

    def _send(self, method: str, path: str, json: Any = None) -> httpx.Response:
        try:
            return self._client.request(method, path, json=json)
        except httpx.HTTPError as error:
            raise self._silence(error) from error

    def _silence(self, error: httpx.HTTPError) -> RayDoesNotAnswer:
        return RayDoesNotAnswer(
            f"Ray's jobs API at {self._client.base_url} does not answer: {type(error).__name__}: {error}"
        )

    def _json(self, response: httpx.Response) -> dict[str, Any]:
        answer = self._json_value(response)
        if not isinstance(answer, dict):
            raise RayUnavailable(f"Ray's jobs API answered {response.status_code}: {_last_line(response)}")
        return answer

    def _json_value(self, response: httpx.Response) -> Any:
        """The answer as JSON; None where it is an error or no JSON."""
        self._raise_for_server_error(response)
        try:
            return response.json() if response.status_code < 400 else None
        except ValueError:
            return None

    def _raise_for_server_error(self, response: httpx.Response) -> None:
        if response.status_code >= 500:
            raise RayUnavailable(f"Ray's jobs API answered {response.status_code}: {_last_line(response)}")
        if response.status_code in (401, 403):
            raise RayUnavailable(
                f"Ray's jobs API answered {response.status_code}: set NOISY_STUDENT_RAY__AUTH_TOKEN to Ray's token"
            )


def _job_info(submission_id: str, answer: dict[str, Any]) -> JobInfo:
    try:
        return JobInfo(JobStatus(answer["status"]), str(answer.get("message") or ""))
    except (KeyError, ValueError) as error:
        raise RayUnavailable(f"Ray's answer on job {submission_id} has no known status: {error}") from error


def _has_no_such_job(response: httpx.Response) -> bool:
    """In Ray's own words: the 404 of a proxy on the way says nothing of the job."""
    return response.status_code == 404 and "does not exist" in response.text


def _last_line(response: httpx.Response) -> str:
    """The end of a traceback says what went wrong."""
    lines = response.text.strip().splitlines()
    return lines[-1][:500] if lines else "(empty answer)"
