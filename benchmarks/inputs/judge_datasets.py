"""Posts a dataset input to the service, and compares the outcome with the expected ones."""

import json
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from benchmarks.inputs.expectations import Accepted, AnyRows, DatasetInput, Outcome, Refused
from benchmarks.inputs.peak_memory import PeakMemory
from benchmarks.inputs.read_back import differences, unreadable
from benchmarks.inputs.service_process import ServiceProcess

_PATIENCE = 1.5
"""By this factor the judge waits longer for a response than the input's limit allows."""
_LONGEST_ANSWER = 30_000
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def judge_dataset(given: DatasetInput, service: ServiceProcess, folder: Path) -> list[str]:
    """What is wrong with the outcome of the registration; empty if nothing is."""
    body = complete_body(given, folder)
    memory = PeakMemory(service) if given.most_mib else None
    started = time.monotonic()
    try:
        answer = service.client.post(
            "/datasets", content=json.dumps(body), headers=_JSON, timeout=_PATIENCE * given.most_seconds
        )
    except httpx.TransportError as error:
        return [f"no answer: {type(error).__name__}"]
    finally:
        gained = memory.gained_mib() if memory else 0.0
    problems = answer_problems(answer, time.monotonic() - started, given.most_seconds)
    if given.most_mib is not None and gained > given.most_mib:
        problems.append(f"took {gained:.0f} MiB of memory, more than {given.most_mib:.0f}")
    by_outcome = [_outcome_problems(answer, outcome, service) for outcome in given.expected]
    return problems + ([] if any(not each for each in by_outcome) else _nearest(by_outcome))


_JSON = {"Content-Type": "application/json"}


def complete_body(given: DatasetInput, folder: Path) -> dict[str, Any]:
    """Makes the input, and returns the complete body of its POST."""
    folder.mkdir(parents=True, exist_ok=True)
    body = {"name": "an input", "role": "labeled", "uri": "", **given.make(folder)}
    if "://" not in body["uri"] and not body["uri"].startswith("/"):
        body["uri"] = str(folder / body["uri"]) if body["uri"] else str(folder)
    return body


def answer_problems(answer: httpx.Response, seconds: float, most_seconds: float) -> list[str]:
    """What is wrong with the response, whatever the request: a 5xx status, slowness, unreadable text."""
    problems = []
    if answer.status_code >= 500:
        problems.append(f"answered {answer.status_code}: {answer.text[:200]}")
    if len(answer.content) > _LONGEST_ANSWER:
        problems.append(f"an answer of {len(answer.content)} bytes")
    if seconds > most_seconds:
        problems.append(f"took {seconds:.0f} s")
    return problems + hidden_characters(_texts(answer))


def hidden_characters(text: str) -> list[str]:
    """A complaint if the text has a character that a terminal would obey or that cannot be encoded."""
    hidden = _UNPRINTABLE.search(text)
    return [f"the answer has the character U+{ord(hidden.group()):04X}"] if hidden else []


def pattern_problems(text: str, says: Sequence[str], never: Sequence[str]) -> list[str]:
    """Complaints about patterns of `says` that the text does not match, and of `never` that it does."""
    missing = [pattern for pattern in says if not re.search(pattern, text, re.IGNORECASE | re.DOTALL)]
    wrong = [pattern for pattern in never if re.search(pattern, text, re.IGNORECASE | re.DOTALL)]
    shown = text[:400]
    problems = [f"says nothing of {pattern!r}: {shown}" for pattern in missing]
    return problems + [f"says {pattern!r}: {shown}" for pattern in wrong]


def _outcome_problems(answer: httpx.Response, outcome: Outcome, service: ServiceProcess) -> list[str]:
    if isinstance(outcome, Refused):
        if answer.status_code not in outcome.status:
            return [f"answered {answer.status_code}, not {outcome.status[0]}: {answer.text[:300]}"]
        text = str(answer.json().get("detail", ""))
        problems = pattern_problems(text, outcome.says, outcome.never)
        fields = [error["field"] for error in answer.json().get("errors", [])]
        if outcome.field is not None and fields != [outcome.field]:
            problems.append(f"blames {fields}, not {outcome.field}: {text[:300]}")
        return problems
    if isinstance(outcome, AnyRows):
        if answer.status_code != httpx.codes.CREATED or answer.json()["rows"] != outcome.rows:
            return [f"answered {answer.status_code}, not 201 with {outcome.rows} rows: {answer.text[:300]}"]
        return unreadable(answer.json(), service.home)
    return _accepted_problems(answer, outcome, service)


def _accepted_problems(answer: httpx.Response, outcome: Accepted, service: ServiceProcess) -> list[str]:
    if answer.status_code != httpx.codes.CREATED:
        return [f"answered {answer.status_code}, not 201: {answer.text[:400]}"]
    dataset = answer.json()
    problems = pattern_problems(" | ".join(dataset["warnings"]), outcome.says, ())
    again = service.client.get(f"/datasets/{dataset['id']}")
    if again.status_code != httpx.codes.OK:
        problems.append(f"GET of it answers {again.status_code}")
    return problems + differences(dataset, service.home, outcome)


def _nearest(by_outcome: Sequence[list[str]]) -> list[str]:
    """The problems of the expected outcome that fits best, that is, with the fewest problems."""
    return min(by_outcome, key=lambda problems: (problems[0].startswith("answered"), len(problems)))


def _texts(answer: httpx.Response) -> str:
    """All texts of a JSON response as a terminal would receive them."""
    try:
        return "\n".join(_strings(answer.json()))
    except ValueError:
        return answer.text


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for item in value.items() for part in item for text in _strings(part)]
    return [text for part in value for text in _strings(part)] if isinstance(value, list) else []
