"""A thin client of the REST API: paths in, views out, problems as exceptions."""

import os
import time
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import httpx
from pydantic import BaseModel

from noisy_student.local.own_keys import own_key
from service.views.access import CreatedKey, KeyView
from service.views.base import Page
from service.views.datasets import DatasetView
from service.views.lineage import ModelLineage
from service.views.plans import PlanSummary, PlanView
from service.views.problem import PROBLEM_MEDIA_TYPE, Problem
from service.views.queue import ProjectView, QueueView
from service.views.retention import Marked, PlannedArtifact
from service.views.runs import EventView, LogTail, ModelView, RunSummary, RunView, StageConfusion, StageView
from service.views.studies import AblationView, DerivedSummary, SearchView
from service.views.webhooks import DeliveryView, NewWebhookView, WebhookView

API_KEY_VARIABLE = "NOISY_STUDENT_API_KEY"
"""Never on a command line, which is seen by every process of the machine."""
_PAGE = 100
_RECONNECT_SECONDS = 2.0
_SILENCE_SECONDS = 45.0
"""Event streams: three heartbeats."""
_THIS_MACHINE = {"127.0.0.1", "localhost", "::1"}
# Registering a dataset reads every row of it.
_TIMEOUT = httpx.Timeout(600.0, connect=5.0)

View = TypeVar("View", bound=BaseModel)


class ApiError(Exception):
    """The API refused; the message is for people, one line for each field."""


class ApiUnreachable(ApiError):
    """The API did not answer."""


def known_key(api: str) -> str | None:
    """The key of the environment, or else of the local stack at this address. Raises ApiError."""
    try:
        return os.environ.get(API_KEY_VARIABLE) or own_key(api)
    except OSError as error:
        raise ApiError(str(error)) from error


class Client:
    """One API, with `key`; by default that of the environment, or of the local stack at this address. Not thread-safe.

    Raises ApiError for every problem document, ApiUnreachable where nothing answers.
    """

    def __init__(self, api: str, key: str | None = None) -> None:
        self.api = api.rstrip("/")
        # A proxy of the environment leads away from this machine.
        here = urlsplit(self.api).hostname in _THIS_MACHINE
        key = key or known_key(api)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.Client(base_url=self.api, headers=headers, timeout=_TIMEOUT, trust_env=not here)

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._http.close()

    def make_link(self, path: str = "/") -> str:
        """An address that opens the web page at `path` as this caller: once, and soon."""
        answer = self._send("POST", "/ui/links", params={"next": path}).json()
        return f"{self.api}{answer['path']}"

    def register_dataset(self, request: Mapping[str, Any], idempotency_key: str | None = None) -> DatasetView:
        return self._post("/datasets", DatasetView, request, idempotency_key)

    def list_datasets(self, limit: int) -> list[DatasetView]:
        return self._list("/datasets", DatasetView, limit)

    def get_dataset(self, dataset_id: str) -> DatasetView:
        return self._get(f"/datasets/{_part(dataset_id)}", DatasetView)

    def create_run(self, config: Mapping[str, Any], idempotency_key: str | None = None) -> RunView:
        return self._post("/runs", RunView, config, idempotency_key)

    def list_runs(self, limit: int) -> list[RunSummary]:
        return self._list("/runs", RunSummary, limit)

    def get_run(self, run_id: str) -> RunView:
        return self._get(_run(run_id), RunView)

    def get_stage(self, run_id: str, generation: int, stage: str) -> StageView:
        return self._get(_stage(run_id, generation, stage), StageView)

    def get_confusion(self, run_id: str, generation: int, stage: str) -> StageConfusion:
        return self._get(f"{_stage(run_id, generation, stage)}/confusion", StageConfusion)

    def cancel_run(self, run_id: str) -> RunView:
        return self._post(f"{_run(run_id)}/cancel", RunView)

    def retry_run(self, run_id: str) -> RunView:
        return self._post(f"{_run(run_id)}/retry", RunView)

    def pause_run(self, run_id: str) -> RunView:
        return self._post(f"{_run(run_id)}/pause", RunView)

    def resume_run(self, run_id: str) -> RunView:
        return self._post(f"{_run(run_id)}/resume", RunView)

    def change_run(self, run_id: str, changes: Mapping[str, Any]) -> RunView:
        return RunView.model_validate_json(self._send("PATCH", _run(run_id), json=changes).content)

    def get_queue(self, limit: int) -> QueueView:
        return self._get("/queue", QueueView, {"limit": min(limit, _PAGE)})

    def list_projects(self, limit: int) -> list[ProjectView]:
        return self._list("/projects", ProjectView, limit)

    def get_project(self, name: str) -> ProjectView:
        return self._get(f"/projects/{_part(name)}", ProjectView)

    def set_quota(self, name: str, device_hours: float | None) -> ProjectView:
        body = {"device_hours": device_hours}
        return ProjectView.model_validate_json(self._send("PUT", f"/projects/{_part(name)}/quota", json=body).content)

    def add_generation(self, run_id: str, overrides: Mapping[str, Any], idempotency_key: str | None = None) -> RunView:
        return self._post(f"{_run(run_id)}/generations", RunView, overrides, idempotency_key)

    def create_search(self, request: Mapping[str, Any], idempotency_key: str | None = None) -> SearchView:
        return self._post("/searches", SearchView, request, idempotency_key)

    def list_searches(self, limit: int) -> list[DerivedSummary]:
        return self._list("/searches", DerivedSummary, limit)

    def get_search(self, search_id: str) -> SearchView:
        return self._get(f"/searches/{_part(search_id)}", SearchView)

    def create_ablation(
        self, run_id: str, request: Mapping[str, Any], idempotency_key: str | None = None
    ) -> AblationView:
        return self._post(f"{_run(run_id)}/ablations", AblationView, request, idempotency_key)

    def list_ablations(self, run_id: str, limit: int) -> list[DerivedSummary]:
        return self._list(f"{_run(run_id)}/ablations", DerivedSummary, limit)

    def get_ablation(self, ablation_id: str) -> AblationView:
        return self._get(f"/ablations/{_part(ablation_id)}", AblationView)

    def create_plan(self, request: Mapping[str, Any], idempotency_key: str | None = None) -> PlanView:
        return self._post("/plans", PlanView, request, idempotency_key)

    def list_plans(self, limit: int) -> list[PlanSummary]:
        return self._list("/plans", PlanSummary, limit)

    def get_plan(self, plan_id: str) -> PlanView:
        return self._get(f"/plans/{_part(plan_id)}", PlanView)

    def list_events(self, run_id: str, limit: int) -> list[EventView]:
        return self._list(f"{_run(run_id)}/events", EventView, limit)

    def log_tail(self, run_id: str, generation: int, stage: str, attempt: int | None, lines: int) -> LogTail:
        """The last lines of an attempt's log; the latest attempt's where `attempt` is None."""
        query = {"lines": lines} | ({"attempt": attempt} if attempt is not None else {})
        return self._get(f"{_stage(run_id, generation, stage)}/logs", LogTail, query)

    def list_models(self, limit: int, run_id: str | None = None) -> list[ModelView]:
        return self._list("/models", ModelView, limit, {"run_id": run_id} if run_id else {})

    def get_model(self, model_id: str) -> ModelView:
        return self._get(f"/models/{_part(model_id)}", ModelView)

    def create_key(self, request: Mapping[str, Any]) -> CreatedKey:
        return self._post("/keys", CreatedKey, request)

    def list_keys(self, limit: int) -> list[KeyView]:
        return self._list("/keys", KeyView, limit)

    def revoke_key(self, key_id: str, with_made: bool = False) -> KeyView:
        query = {"with_made": with_made}
        return KeyView.model_validate_json(self._send("DELETE", f"/keys/{_part(key_id)}", params=query).content)

    def get_lineage(self, model_id: str) -> ModelLineage:
        return self._get(f"/models/{_part(model_id)}/lineage", ModelLineage)

    def set_kept(self, model_id: str, kept: bool) -> ModelView:
        answer = self._send("PUT" if kept else "DELETE", f"/models/{_part(model_id)}/keep")
        return ModelView.model_validate_json(answer.content)

    def plan_retention(self, limit: int, run_id: str | None = None) -> list[PlannedArtifact]:
        """`limit` counts runs."""
        query: dict[str, Any] = {"run_id": run_id} if run_id else {}
        items: list[PlannedArtifact] = []
        cursor = None
        for left in range(limit, 0, -_PAGE):
            wanted = {**query, "limit": min(left, _PAGE), **({"cursor": cursor} if cursor else {})}
            page = self._get("/retention/plan", Page[PlannedArtifact], wanted)
            items, cursor = [*items, *page.items], page.next_cursor
            if cursor is None:
                break
        return items

    def apply_retention(self, run_id: str | None = None) -> Marked:
        answer = self._send("POST", "/retention/apply", params={"run_id": run_id} if run_id else {})
        return Marked.model_validate_json(answer.content)

    def follow_events(self, run_id: str | None = None, after: int | None = None) -> Iterator[EventView]:
        """Events as they happen, without end; connects again where the connection is lost."""
        path = f"{_run(run_id)}/events/stream" if run_id else "/events/stream"
        while True:
            try:
                for event in self._stream(path, {} if after is None else {"after": after}):
                    yield event
                    after = event.id
            except httpx.TransportError:
                if after is None:
                    raise
            time.sleep(_RECONNECT_SECONDS)

    def register_webhook(self, request: Mapping[str, Any], idempotency_key: str | None = None) -> NewWebhookView:
        return self._post("/webhooks", NewWebhookView, request, idempotency_key)

    def list_webhooks(self, limit: int) -> list[WebhookView]:
        return self._list("/webhooks", WebhookView, limit)

    def delete_webhook(self, webhook_id: str) -> None:
        self._send("DELETE", f"/webhooks/{_part(webhook_id)}")

    def list_deliveries(self, webhook_id: str, limit: int) -> list[DeliveryView]:
        return self._list(f"/webhooks/{_part(webhook_id)}/deliveries", DeliveryView, limit)

    def retry_delivery(self, webhook_id: str, event_id: int) -> DeliveryView:
        return self._post(f"/webhooks/{_part(webhook_id)}/deliveries/{event_id}/retry", DeliveryView)

    def _stream(self, path: str, query: Mapping[str, Any]) -> Iterator[EventView]:
        timeout = httpx.Timeout(_SILENCE_SECONDS, connect=5.0)
        with self._http.stream("GET", path, params=query, timeout=timeout) as response:
            if response.is_error:
                response.read()
                raise ApiError(_complaint(response))
            for line in response.iter_lines():
                if line.startswith("data: "):
                    yield EventView.model_validate_json(line.removeprefix("data: "))

    def _get(self, path: str, view: type[View], query: Mapping[str, Any] | None = None) -> View:
        return view.model_validate_json(self._send("GET", path, params=query).content)

    def _post(
        self, path: str, view: type[View], body: Mapping[str, Any] | None = None, idempotency_key: str | None = None
    ) -> View:
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key is not None else {}
        return view.model_validate_json(self._send("POST", path, json=body, headers=headers).content)

    def _list(self, path: str, item: type[View], limit: int, query: Mapping[str, Any] | None = None) -> list[View]:
        items: list[View] = []
        for page in self._pages(path, item, limit, query or {}):
            items += page.items
        return items

    def _pages(self, path: str, item: type[View], limit: int, query: Mapping[str, Any]) -> Iterator[Any]:
        left, cursor = limit, None
        while left > 0:
            wanted = {**query, "limit": min(left, _PAGE), **({"cursor": cursor} if cursor else {})}
            page = Page[item].model_validate_json(self._send("GET", path, params=wanted).content)  # type: ignore[valid-type]
            yield page
            left, cursor = left - len(page.items), page.next_cursor
            if cursor is None:
                return

    def _send(self, method: str, path: str, **request: Any) -> httpx.Response:
        try:
            response = self._http.request(method, path, **request)
        except (httpx.TransportError, httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise ApiUnreachable(
                f"the API at {self.api} does not answer ({error}).\n"
                "Start one with: noisy-student up. Another address: --api URL, or NOISY_STUDENT_API."
            ) from error
        if response.is_error:
            raise ApiError(_complaint(response))
        return response


def _run(run_id: str) -> str:
    return f"/runs/{_part(run_id)}"


def _stage(run_id: str, generation: int, stage: str) -> str:
    return f"{_run(run_id)}/generations/{generation}/stages/{_part(stage)}"


def _part(value: str) -> str:
    """One segment of a path, whatever is in it."""
    return quote(value, safe="")


def _complaint(response: httpx.Response) -> str:
    if response.headers.get("Content-Type") != PROBLEM_MEDIA_TYPE:
        return f"{response.request.url} answered {response.status_code}; is it the API of noisy-student?"
    problem = Problem.model_validate_json(response.content)
    if not problem.errors:
        hint = f"\nSet {API_KEY_VARIABLE} to a good API key." if problem.status == httpx.codes.UNAUTHORIZED else ""
        return f"{problem.title}: {problem.detail}{hint}"
    lines = [f"  {error.field or '(the whole body)'}: {error.message}" for error in problem.errors]
    return "\n".join([f"{problem.title}:", *lines])
