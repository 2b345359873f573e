"""Token buckets, with an injected clock."""

from service.access.rate_limit import MAX_BUCKETS, RateLimit


def test_a_burst_passes_then_the_rate_holds() -> None:
    limit = RateLimit(per_second=2, burst=3)
    assert [limit.take("a", 100.0) for _ in range(4)] == [0, 0, 0, 0.5]
    assert limit.take("a", 100.5) == 0
    assert limit.take("a", 100.5) == 0.5


def test_refused_requests_cost_nothing() -> None:
    limit = RateLimit(per_second=1, burst=1)
    limit.take("a", 0.0)
    assert [limit.take("a", 0.5) for _ in range(5)] == [0.5] * 5
    assert limit.take("a", 1.0) == 0


def test_callers_do_not_share_a_bucket_and_it_never_overflows() -> None:
    limit = RateLimit(per_second=10, burst=2)
    limit.take("a", 0.0)
    assert limit.take("b", 0.0) == 0
    assert [limit.take("a", 1000.0) == 0 for _ in range(3)] == [True, True, False]


def test_looking_takes_nothing() -> None:
    limit = RateLimit(per_second=1, burst=1)
    assert [limit.wait("a", 0.0), limit.wait("a", 0.0), limit.take("a", 0.0)] == [0, 0, 0]
    assert limit.wait("a", 0.25) == 0.75


def test_memory_is_bounded_whatever_names_callers_have() -> None:
    limit = RateLimit(per_second=1, burst=1)
    limit.take("first", 0.0)
    for number in range(MAX_BUCKETS):
        limit.take(str(number), 0.0)
    assert limit.take("first", 0.0) == 0  # forgotten, and therefore full again
    assert limit.take(str(MAX_BUCKETS - 1), 0.0) > 0
