"""Requests generated from the OpenAPI document get no 5xx, and no response that the document does not declare."""

from collections.abc import Callable
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi import checks

from service.settings import Settings

EXAMPLES = {"sqlite": 8, "postgresql": 2}
"""Requests per operation: valid ones, and as many invalid ones. PostgreSQL and SQLite reject different texts."""
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.unsupported_method,
]


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def settings(settings: Settings, database: str, request: pytest.FixtureRequest) -> Settings:
    if database == "sqlite":
        return settings
    url = request.getfixturevalue("postgres_url").format(name="migrated")
    return settings.model_copy(update={"database_url": url})


def test_no_5xx_and_no_answer_outside_of_the_document(
    secured: FastAPI, make_key: Callable[..., str], run_of: Callable[[str], str], database: str
) -> None:
    key = make_key("admin")
    known = {"run_id": run_of(key), "generation": 0, "stage": "train", "attempt": 1}
    headers = {"Authorization": f"Bearer {key}"}
    schema = schemathesis.openapi.from_asgi("/openapi.json", secured, headers=headers)
    tried, failures = 0, []
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path.endswith("/events/stream"):
            continue  # endless; tests/api/test_event_streams.py covers it
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):

            @given(case=operation.as_strategy(generation_mode=mode))
            @hypothesis_settings(
                max_examples=EXAMPLES[database],
                deadline=None,
                derandomize=True,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            def check(case: Any) -> None:
                nonlocal tried
                tried += 1
                if tried % 2 and case.path_parameters:  # otherwise nearly every id would be unknown
                    case.path_parameters.update({k: v for k, v in known.items() if k in case.path_parameters})
                case.call_and_validate(headers=headers, checks=CHECKS)

            try:
                check()
            except Unsatisfiable:
                assert mode is GenerationMode.NEGATIVE, operation.label  # nothing can be invalid without parameters
            except FailureGroup as group:
                failures.append(f"{operation.label}: {[str(each) for each in group.exceptions]}")
    assert failures == []
    assert tried > 40 * EXAMPLES[database]
