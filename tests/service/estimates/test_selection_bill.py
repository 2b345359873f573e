"""What thresholds by class and alignment add to the bill of selection: passes over the label files."""

import pytest

from service.views.estimates import StageBill
from tests.service.estimates.test_bill import billed, line, made_config

ROWS = 10_000
LABEL_BYTES = 50


def select_line(**selection: object) -> StageBill:
    return line(billed(made_config(selection=selection)).as_configured, 1, "select")


def test_thresholds_and_alignment_are_billed_by_the_passes_that_they_need() -> None:
    plain = select_line()
    flexmatch, freematch = select_line(thresholds="flexmatch"), select_line(thresholds="freematch")
    aligned = select_line(distribution_alignment="uniform")
    both = select_line(distribution_alignment="labeled", thresholds="flexmatch")
    assert flexmatch.bytes_read - plain.bytes_read == ROWS * 8, "a label and a doubt of each row"
    assert freematch.bytes_read - plain.bytes_read == ROWS * LABEL_BYTES, "each row's soft label"
    assert aligned.bytes_read - plain.bytes_read == both.bytes_read - plain.bytes_read == ROWS * 2 * LABEL_BYTES
    assert [each.bytes_written - plain.bytes_written for each in (flexmatch, freematch, aligned)] == [0, 0, ROWS * 8]
    assert plain.work_seconds < flexmatch.work_seconds < freematch.work_seconds < aligned.work_seconds
    assert both.work_seconds == pytest.approx(aligned.work_seconds)
    assert aligned.bytes_kept == plain.bytes_kept, "aligned labels go once the selection is written"


def test_the_bill_says_how_thresholds_and_alignment_were_counted() -> None:
    def said(**selection: object) -> bool:
        return any("alignment" in each for each in billed(made_config(selection=selection)).assumptions)

    assert (said(), said(thresholds="freematch"), said(distribution_alignment="labeled")) == (False, True, True)
