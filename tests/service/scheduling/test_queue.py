"""The queue as a pure function: which stages start, which wait, at which place and why."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from service.scheduling.queue import Budget, Claim, places_in_line

NOW = 1000.0


def make_claim(run_id: str, ready_at: float = NOW, priority: int = 0, **changes: Any) -> Claim:
    known: dict[str, Any] = {"run_name": "pets", "project": "default", "generation": 0, "stage": "train", **changes}
    return Claim(run_id=run_id, priority=priority, ready_at=ready_at, **known)


def waiting(claims: list[Claim], limit: int | None, running: int = 0) -> list[tuple[str, int]]:
    return [(place.claim.run_id, place.position) for place in places_in_line(claims, running, limit, {})]


def test_nobody_waits_without_limits() -> None:
    assert waiting([make_claim(str(number)) for number in range(50)], None) == []


def test_who_was_ready_first_starts_first_and_the_others_know_their_places() -> None:
    claims = [make_claim("c", NOW + 3), make_claim("a", NOW + 1), make_claim("b", NOW + 2), make_claim("d", NOW)]

    assert waiting(claims, 2) == [("b", 1), ("c", 2)]


def test_running_stages_take_places_and_go_on_even_above_the_limit() -> None:
    claims = [make_claim("c")]

    assert waiting(claims, 1, running=2) == [("c", 1)]
    [place] = places_in_line(claims, 2, 2, {})
    assert place.reason == "limit of 2 concurrent stages"
    assert waiting(claims, 3, running=2) == []


def test_a_higher_priority_goes_first() -> None:
    claims = [make_claim("first", NOW), make_claim("urgent", NOW + 60, priority=1)]

    assert waiting(claims, 1, running=1) == [("urgent", 1), ("first", 2)]


def test_nobody_is_overtaken_for_ever() -> None:
    patient = make_claim("patient", NOW)
    urgent = [make_claim(f"urgent-{hour}", NOW + hour * 3600 + 1, priority=3) for hour in range(10)]

    order = [name for name, _ in waiting([patient, *urgent], 0)]

    assert order.index("patient") == 3


def test_an_exhausted_quota_holds_up_its_own_project_alone() -> None:
    budgets = {"rich": Budget(10.0, 9.99), "poor": Budget(10.0, 10.004), "free": Budget(None, 1e6)}
    claims = [make_claim(name, NOW + index, project=name) for index, name in enumerate(("poor", "rich", "free"))]

    [place] = places_in_line(claims, 0, 2, budgets)

    assert place.claim.run_id == "poor"
    assert place.reason == "project poor has spent 10.00 of its quota of 10 device hours"


@given(
    st.lists(st.tuples(st.integers(-100, 100), st.integers(0, 10**6)), max_size=30),
    st.integers(0, 20),
    st.integers(1, 10),
)
def test_exactly_the_free_places_are_filled(drawn: list[tuple[int, int]], running: int, limit: int) -> None:
    claims = [make_claim(str(number), NOW + ready, priority) for number, (priority, ready) in enumerate(drawn)]

    places = places_in_line(claims, running, limit, {})

    started = [claim for claim in claims if claim not in {place.claim for place in places}]
    assert len(started) == min(max(0, limit - running), len(claims))
    assert [place.position for place in places] == list(range(1, len(places) + 1))
    assert all(claim.order <= place.claim.order for claim in started for place in places)
