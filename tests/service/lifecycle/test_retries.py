"""Which failures get another attempt."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.config.policies import RetrySettings
from service.lifecycle.retries import LONGEST_DELAY_SECONDS, NOT_COUNTED, retry_delay_seconds
from workers.specs.reports import FailureReason

DEFAULTS = RetrySettings()


def delay(failures: list[FailureReason], max_attempts: int = 4, settings: RetrySettings = DEFAULTS) -> float | None:
    return retry_delay_seconds(failures, max_attempts, settings)


@pytest.mark.parametrize(
    "reason",
    [FailureReason.USER_ERROR, FailureReason.BAD_DATA, FailureReason.CANCELLED, FailureReason.UNSCHEDULABLE],
)
def test_what_would_fail_again_is_never_retried(reason: FailureReason) -> None:
    assert delay([reason], max_attempts=100) is None


def test_a_job_that_failed_without_a_word_is_retried_until_the_attempts_are_used_up() -> None:
    failed = FailureReason.JOB_FAILED

    assert delay([failed] * 3) is not None
    assert delay([failed] * 4) is None


def test_a_head_that_dies_now_and_then_uses_up_no_attempts() -> None:
    """A training of weeks continues from its checkpoint each time."""
    assert delay([FailureReason.JOB_LOST] * 20) is not None
    assert delay([FailureReason.JOB_LOST] * 21) is None


def test_a_stage_out_of_memory_gets_one_more_chance() -> None:
    memory = FailureReason.OUT_OF_MEMORY

    assert delay([memory]) is not None
    assert delay([memory, memory]) is None


def test_failures_of_one_kind_do_not_use_up_the_retries_of_another() -> None:
    assert delay([FailureReason.JOB_LOST, FailureReason.JOB_LOST, FailureReason.OUT_OF_MEMORY]) is not None


def test_preemptions_and_dead_nodes_use_up_no_attempts() -> None:
    taken = [FailureReason.PREEMPTED] * 500 + [FailureReason.NODE_LOST] * 10

    assert delay(taken) == LONGEST_DELAY_SECONDS
    assert delay([*taken, FailureReason.JOB_LOST]) is not None
    assert delay([FailureReason.NODE_LOST] * 21) is None


def test_a_pause_is_gone_on_from_at_once_and_counts_for_nothing() -> None:
    assert delay([FailureReason.PAUSED] * 50, max_attempts=1) == 0
    assert delay([FailureReason.PAUSED, FailureReason.JOB_LOST]) == 1.0


def test_a_run_may_have_limits_of_its_own() -> None:
    patient = RetrySettings(out_of_memory=3, max_attempts=10, bad_data=1)

    assert delay([FailureReason.OUT_OF_MEMORY] * 3, settings=patient) is not None
    assert delay([FailureReason.OUT_OF_MEMORY] * 4, settings=patient) is None
    assert delay([FailureReason.BAD_DATA], settings=patient) is not None
    assert delay([FailureReason.JOB_LOST] * 9, settings=patient) is not None
    assert delay([FailureReason.JOB_LOST], settings=RetrySettings(job_lost=0)) is None


def test_the_delay_doubles_up_to_the_longest() -> None:
    delays = [delay([FailureReason.JOB_LOST] * count, max_attempts=100) for count in (1, 2, 3, 20)]

    assert delays == [1.0, 2.0, 4.0, LONGEST_DELAY_SECONDS]


def test_every_reason_has_its_rule() -> None:
    for reason in FailureReason:
        limit = DEFAULTS.retries(reason)
        assert limit is None or limit >= 0


@given(st.lists(st.sampled_from(FailureReason), min_size=1, max_size=12), st.integers(1, 8))
def test_there_are_never_more_counted_attempts_than_allowed(failures: list[FailureReason], max_attempts: int) -> None:
    if failures[-1] not in NOT_COUNTED and delay(failures, max_attempts) is not None:
        assert sum(reason not in NOT_COUNTED for reason in failures) < max_attempts
