"""The event kinds, and what the documentation says about them."""

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from service.config.events import EventKind
from service.config.webhooks import WebhookRequest
from service.lifecycle.events import ATTEMPT_ENDED, RUN_ENDED
from service.lifecycle.states import OPEN_ATTEMPTS, UNFINISHED_RUNS, AttemptState, RunState

ROOT = Path(__file__).parents[3]
OPERATIONS = ROOT / "docs" / "operations.md"


def test_each_kind_of_event_is_documented_once_and_nothing_else_is() -> None:
    events = OPERATIONS.read_text(encoding="utf-8").split("## Events")[1].split("\n## ")[0]

    assert re.findall(r"^\| `([a-z_]+)` \|", events, re.MULTILINE) == [kind.value for kind in EventKind]


def test_each_kind_of_event_is_told_somewhere() -> None:
    sources = "\n".join(file.read_text(encoding="utf-8") for file in (ROOT / "service").rglob("*.py"))
    assert set(re.findall(r"EventKind\.([A-Z_]+)\b", sources)) == {kind.name for kind in EventKind}


def test_a_webhook_for_a_kind_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValidationError, match="kinds"):
        WebhookRequest.model_validate({"url": "https://example.com/hook", "kinds": ["run_succeeded", "run_succeded"]})


def test_every_end_of_an_attempt_but_success_and_every_end_of_a_run_has_a_kind() -> None:
    assert set(ATTEMPT_ENDED) == set(AttemptState) - OPEN_ATTEMPTS - {AttemptState.SUCCEEDED}
    assert set(RUN_ENDED) == set(RunState) - UNFINISHED_RUNS
