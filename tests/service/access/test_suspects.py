"""Callers who send many bad credentials are slowed down; others with the same address are not."""

from threading import Event, Thread

import pytest

from service.access.rate_limit import RateLimit
from service.access.suspects import Suspects
from service.errors import TooManyRequests, Unauthenticated
from tests.support.fake_clock import FakeClock

pytestmark = pytest.mark.attack


@pytest.fixture
def suspects() -> Suspects:
    return Suspects(RateLimit(per_second=1, burst=2), FakeClock())


def look(suspects: Suspects, credential: str, good: bool, address: str = "192.0.2.1") -> str:
    try:
        with suspects.looking_at(credential, address):
            if not good:
                raise Unauthenticated("no")
    except (Unauthenticated, TooManyRequests) as refusal:
        return type(refusal).__name__
    return "good"


def test_bad_credentials_over_the_limit_are_too_many_and_good_ones_pass(suspects: Suspects) -> None:
    assert [look(suspects, "x", False) for _ in range(3)] == ["Unauthenticated", "Unauthenticated", "TooManyRequests"]
    assert look(suspects, "never seen", True) == "good"
    assert look(suspects, "x", False, "192.0.2.2") == "Unauthenticated"


def test_of_suspects_one_unknown_credential_at_a_time_is_looked_at(suspects: Suspects) -> None:
    assert look(suspects, "known", True) == "good"
    for _ in range(3):
        look(suspects, "x", False)
    inside, leave = Event(), Event()

    def stay() -> None:
        with suspects.looking_at("slow", "192.0.2.1"):
            inside.set()
            assert leave.wait(20)

    thread = Thread(target=stay, daemon=True)
    thread.start()
    assert inside.wait(20)
    assert look(suspects, "unknown", True) == "TooManyRequests"
    assert look(suspects, "known", True) == "good"
    assert look(suspects, "unknown", True, "192.0.2.2") == "good"
    leave.set()
    thread.join(20)
    assert look(suspects, "unknown", True) == "good"


def test_what_was_good_and_is_no_longer_is_a_guess(suspects: Suspects) -> None:
    look(suspects, "revoked", True)
    assert [look(suspects, "revoked", False) for _ in range(3)][-1] == "TooManyRequests"
