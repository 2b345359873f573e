"""Sends a request input and checks the response. It then fetches what was created, by its id and in its listing."""

import json
import time
from typing import Any

import httpx

from benchmarks.inputs.expectations import RequestInput
from benchmarks.inputs.good_bodies import GoodBodies
from benchmarks.inputs.judge_datasets import answer_problems, pattern_problems
from benchmarks.inputs.service_process import ServiceProcess


def judge_request(given: RequestInput, service: ServiceProcess, good: GoodBodies) -> list[str]:
    """What is wrong with the outcome of the request; empty if nothing is."""
    body = given.body(good.body(given.good))
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    path = given.path.replace("{run}", good.run_id)
    headers = {"Content-Type": "application/json", **(given.headers or {})}
    started = time.monotonic()
    try:
        answer = service.client.request(given.method, path, content=content, headers=headers)
    except httpx.TransportError as error:
        return [f"no answer: {type(error).__name__}"]
    problems = answer_problems(answer, time.monotonic() - started, given.most_seconds)
    if answer.status_code not in given.expected.status:
        problems.append(f"answered {answer.status_code}, not {given.expected.status}: {answer.text[:300]}")
    problems += pattern_problems(answer.text, given.expected.says, given.expected.never)
    if answer.status_code == httpx.codes.CREATED:
        problems += _problems_of_what_was_made(answer.json(), path, service)
    return problems


def _problems_of_what_was_made(made: dict[str, Any], path: str, service: ServiceProcess) -> list[str]:
    """Problems in listing and showing what was created. Cancels a run, so that the service is as before."""
    listing = "/" + path.strip("/").rpartition("/")[2]
    problems = []
    asked = [f"{listing}?limit=1", f"{listing}/{made['id']}"]
    if listing in ("/runs", "/searches", "/ablations", "/plans"):
        asked += ["/runs?limit=1", f"/runs/{made['id']}", f"/runs/{made['id']}/events", "/queue"]
    for place in asked:
        answer = service.client.get(place)
        if answer.status_code != httpx.codes.OK:
            problems.append(f"GET {place} answers {answer.status_code} afterwards")
    if len(asked) > 2:
        cancelled = service.client.post(f"/runs/{made['id']}/cancel")
        if cancelled.status_code != httpx.codes.ACCEPTED:
            problems.append(f"it cannot be cancelled: {cancelled.status_code}")
    return problems
