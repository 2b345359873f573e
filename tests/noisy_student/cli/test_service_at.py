"""The one-line run finds the service at an address, and starts one only where that can work."""

import pytest

from noisy_student.cli.one_line import service as service_module
from noisy_student.cli.one_line.service import service_at
from noisy_student.errors import Unreachable

_NOBODY = "http://127.0.0.1:9"
"""The port of discard, where nothing listens."""


def test_a_service_that_answers_is_used_and_left_alone(server: str) -> None:
    said: list[str] = []
    with service_at(server, said.append) as found:
        assert found.client.service.health().status == "ok"
        assert not found.is_own
    assert said == []


def test_none_is_started_for_another_address_than_the_default() -> None:
    with pytest.raises(Unreachable, match="noisy-student up"), service_at(_NOBODY, print):
        pass


def test_without_the_packages_of_a_service_it_says_how_to_start_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_module, "DEFAULT_API", _NOBODY)
    monkeypatch.setattr(service_module, "missing_from", lambda extra: ["ray"])
    with pytest.raises(Unreachable, match="noisy-student up"), service_at(_NOBODY, print):
        pass
