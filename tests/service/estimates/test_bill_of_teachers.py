"""The bill of labels that are the mean of several teachers."""

import pytest

from service.config.run import EstimateSettings, RunConfig
from service.estimates.estimated_run import DatasetSize
from service.estimates.forecast import write_bill
from service.stages.generation_plans import generation_plans, measured_students
from service.views.estimates import Bill
from tests.service.estimates.test_bill import JOB, line, made_config
from tests.support.made_measurements import PARTS, made_measurement

_CALIBRATED = {"student_recipe": {"unlabeled_ratio": 3, "temperature": "fit"}}


def billed_together(config: RunConfig, **together: float) -> Bill:
    """The bill of a run whose models, in one actor, take what `together` says."""
    measured = made_measurement(measured_students(generation_plans(config))[0])
    students = tuple(
        student.model_copy(update={"clean": student.clean.model_copy(update=together)}) for student in measured.students
    )
    sizes = dict.fromkeys(PARTS, DatasetSize(rows=100, shards=1)) | {"unlabeled": DatasetSize(10_000, 100)}
    return write_bill(config, EstimateSettings(), sizes, measured.model_copy(update={"students": students}), JOB)


def test_two_teachers_that_are_alike_double_the_work_and_the_reads_of_labeling_and_nothing_else() -> None:
    one = {"resources": {"label": {"max_actors": 2}}, **_CALIBRATED}
    two = {**one, "labeling": {"further_teachers": ["run-1-g1"]}}
    clean = made_measurement(measured_students(generation_plans(made_config()))[0]).students[0].clean
    bills = [
        billed_together(made_config(**one)),
        billed_together(
            made_config(**two),
            together_seconds=2 * clean.predict_seconds,
            together_load_seconds=2 * clean.load_seconds,
            further_bytes=4000.0,
        ),
    ]
    alone, both = (line(bill.as_configured, 1, "label") for bill in bills)
    images = 10_000 / 2
    assert both.work_seconds - alone.work_seconds == pytest.approx(images * clean.predict_seconds)
    assert both.work_seconds / alone.work_seconds == pytest.approx(1.8)  # reading and writing stay what they are
    calibration = 100 * clean.predict_seconds + clean.load_seconds
    assert both.overhead_seconds - alone.overhead_seconds == pytest.approx(clean.load_seconds + calibration)
    assert both.bytes_read - alone.bytes_read == 2 * 4000
    assert (alone.teachers, both.teachers) == (1, 2)
    others = [
        [each for each in bill.as_configured.stages if each.stage != "label"] for bill in bills
    ]  # evaluation too looks with one model only
    assert others[0] == others[1]
    assert all(each.teachers is None for each in others[0])
    assert ["labeling.further_teachers" in " ".join(bill.assumptions) for bill in bills] == [False, True]


def test_a_run_that_labels_nothing_is_not_billed_for_further_teachers() -> None:
    config = made_config(generations=0, student_models=[], labeling={"further_teachers": ["run-1-g1"]})
    bill = billed_together(config, together_seconds=1.0)
    assert [each.stage for each in bill.as_configured.stages] == ["train", "evaluate"]
    assert "further_teachers" not in " ".join(bill.assumptions)
