"""Which failures get another attempt."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.retry_policy import LONGEST_DELAY_SECONDS, RETRIES, retry_delay_seconds
from workers.specs.stages import FailureReason


@pytest.mark.parametrize("reason", [FailureReason.USER_ERROR, FailureReason.BAD_DATA, FailureReason.CANCELLED])
def test_what_would_fail_again_is_never_retried(reason: FailureReason) -> None:
    assert retry_delay_seconds([reason], max_attempts=100) is None


def test_a_lost_job_is_retried_until_the_attempts_are_used_up() -> None:
    lost = FailureReason.JOB_LOST

    assert retry_delay_seconds([lost] * 3, max_attempts=4) is not None
    assert retry_delay_seconds([lost] * 4, max_attempts=4) is None


def test_a_stage_out_of_memory_gets_one_more_chance() -> None:
    memory = FailureReason.OUT_OF_MEMORY

    assert retry_delay_seconds([memory], max_attempts=4) is not None
    assert retry_delay_seconds([memory, memory], max_attempts=4) is None


def test_failures_of_one_kind_do_not_use_up_the_retries_of_another() -> None:
    failures = [FailureReason.JOB_LOST, FailureReason.JOB_LOST, FailureReason.OUT_OF_MEMORY]

    assert retry_delay_seconds(failures, max_attempts=4) is not None


def test_the_delay_doubles_up_to_the_longest() -> None:
    delays = [retry_delay_seconds([FailureReason.JOB_LOST] * count, max_attempts=100) for count in (1, 2, 3, 20)]

    assert delays == [1.0, 2.0, 4.0, LONGEST_DELAY_SECONDS]


def test_every_reason_has_its_rule() -> None:
    assert set(RETRIES) == set(FailureReason)


@given(st.lists(st.sampled_from(FailureReason), min_size=1, max_size=12), st.integers(1, 8))
def test_there_are_never_more_attempts_than_allowed(failures: list[FailureReason], max_attempts: int) -> None:
    if retry_delay_seconds(failures, max_attempts) is not None:
        assert len(failures) < max_attempts
