"""A thin client for Ray's jobs REST API: submit, status of one job or of all, stop, logs, delete, version.

https://docs.ray.io/en/latest/cluster/running-applications/job-submission/rest.html
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import httpx

from service.config.settings.groups import DriverPlace
from service.errors import RayDoesNotAnswer, RayUnavailable
from service.port_owner import is_anothers
from service.ray_client.job_status import JobStatus
from service.ray_client.log_tail import end_of_log

TIMEOUT_SECONDS = 15.0
"""Longer than the 10 s that Ray waits for its agent before it answers 500."""
CONNECT_TIMEOUT_SECONDS = 3.0


class JobRejected(Exception):
    """Ray refuses the job itself, so repeating the request does not help."""


@dataclass(frozen=True)
class JobInfo:
    """What Ray reports about a job. `message` is Ray's own text, for people."""

    status: JobStatus
    message: str = ""


def refuse_anothers(request: httpx.Request) -> None:
    """Raises httpx.ConnectError if another user's program has taken the port of this user's Ray.

    Ray runs whatever arrives with the token as this user, so the token must not reach such a program.
    """
    if is_anothers(str(request.url)):
        raise httpx.ConnectError("another user's program listens there: Ray's token is not sent to it", request=request)


class RayJobs:
    """A client for one Ray head, with one pool of connections. Thread-safe.

    `is_own` says that this user's own Ray runs on this machine. Every method raises RayUnavailable if Ray answers 5xx
    or refuses the token, and its subclass RayDoesNotAnswer if Ray does not answer in time.
    """

    def __init__(
        self, url: str, token: str | None = None, timeout_seconds: float = TIMEOUT_SECONDS, is_own: bool = False
    ) -> None:
        self._url = url
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        # The head is inside the cluster's network, never behind a proxy that the environment names.
        timeout = httpx.Timeout(timeout_seconds, connect=min(timeout_seconds, CONNECT_TIMEOUT_SECONDS))
        hooks = {"request": [refuse_anothers]} if is_own else {}
        self._client = httpx.Client(base_url=url, headers=headers, timeout=timeout, trust_env=False, event_hooks=hooks)

    @cached_property
    def _stranger(self) -> httpx.Client:
        """A client that sends no token. It is cached because creating one takes longer than a request."""
        return httpx.Client(base_url=self._url, timeout=CONNECT_TIMEOUT_SECONDS, trust_env=False)

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()
        self._stranger.close()

    def submit(
        self,
        submission_id: str,
        python_executable: str,
        spec_uri: str,
        metadata: Mapping[str, str],
        driver: DriverPlace = DriverPlace(),
    ) -> None:
        """Submits the stage whose spec is at `spec_uri`. It counts as success if Ray already has the job.

        Raises JobRejected if Ray refuses the request itself.
        """
        body = {
            "submission_id": submission_id,
            "entrypoint": shlex.join([python_executable, "-m", "workers.entrypoint", spec_uri]),
            # By default nothing: the driver only waits for its workers, and would take from them what it reserves.
            "entrypoint_num_cpus": driver.cpus,
            **({"entrypoint_memory": driver.memory_mib << 20} if driver.memory_mib else {}),
            **({"entrypoint_label_selector": dict(driver.node_labels)} if driver.node_labels else {}),
            "metadata": dict(metadata),
        }
        response = self._send("POST", "/api/jobs/", json=body)
        if response.status_code >= 400 and "already exists" in response.text:
            return
        self._raise_for_server_error(response)
        if response.status_code >= 400:
            raise JobRejected(_last_line(response))

    def status(self, submission_id: str) -> JobInfo:
        """Returns the job's status. It is UNKNOWN only if Ray itself says so; a proxy's 404 does not count."""
        response = self._send("GET", f"/api/jobs/{submission_id}")
        if _has_no_such_job(response):
            return JobInfo(JobStatus.UNKNOWN)
        return _job_info(submission_id, self._json(response))

    def statuses(self) -> dict[str, JobInfo]:
        """Returns the status of every submitted job that Ray knows, by submission id.

        It leaves out jobs whose status is not one of JobStatus.
        """
        answer = self._json_value(self._send("GET", "/api/jobs/"))
        if not isinstance(answer, list) or not all(isinstance(job, dict) for job in answer):
            raise RayUnavailable("Ray's jobs API answered something else than a list of jobs")
        found = {str(job["submission_id"]): job for job in answer if job.get("submission_id")}
        return {name: _job_info(name, job) for name, job in found.items() if job.get("status") in set(JobStatus)}

    def stop(self, submission_id: str) -> None:
        """Asks Ray to stop the job and returns at once. A job that Ray does not know counts as stopped."""
        response = self._send("POST", f"/api/jobs/{submission_id}/stop")
        if not _has_no_such_job(response):
            self._json(response)

    def log_end(self, submission_id: str, max_bytes: int) -> bytes | None:
        """Returns the last whole lines of the job's log, at most `max_bytes`, or None if Ray has no such job.

        It streams the log, so that memory depends on `max_bytes` and not on the length of the log.
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
        """Deletes a job that has ended. A job that Ray does not know counts as deleted."""
        response = self._send("DELETE", f"/api/jobs/{submission_id}")
        if not _has_no_such_job(response):
            self._json(response)

    def version(self) -> str:
        """Returns Ray's version."""
        return str(self._json(self._send("GET", "/api/version")).get("ray_version", ""))

    def gpus(self) -> float:
        """Returns the number of GPUs on all nodes that are alive.

        It asks Ray's state API (https://docs.ray.io/en/latest/ray-observability/reference/api.html), which the same
        server offers.
        """
        answer = self._json(self._send("GET", "/api/v0/nodes"))
        try:
            nodes = answer["data"]["result"]["result"]
            alive = [node["resources_total"] for node in nodes if node["state"] == "ALIVE"]
            return float(sum(resources.get("GPU", 0) for resources in alive))
        except (KeyError, TypeError, AttributeError) as error:
            raise RayUnavailable(f"Ray's answer is not a list of its nodes: {error!r}") from error

    def answers_without_token(self) -> bool:
        """Returns whether Ray's API, which runs whatever it receives, answers requests without a token."""
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
        """Returns the answer as JSON, or None if it is an error of the client or not JSON."""
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
    """Whether Ray itself says so: a 404 of a proxy on the way says nothing about the job."""
    return response.status_code == 404 and "does not exist" in response.text


def _last_line(response: httpx.Response) -> str:
    """Returns the last line of the answer, since the end of a traceback says what went wrong."""
    lines = response.text.strip().splitlines()
    return lines[-1][:500] if lines else "(empty answer)"
