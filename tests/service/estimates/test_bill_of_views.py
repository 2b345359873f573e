"""The bill of labels that are the mean of several views."""

import pytest

from service.config.run import EstimateSettings
from service.estimates.estimated_run import DatasetSize
from service.estimates.forecast import write_bill
from service.stages.generation_plans import generation_plans, measured_students
from tests.service.estimates.test_bill import JOB, billed, line, made_config
from tests.support.made_measurements import PARTS, made_measurement


def test_labeling_several_views_takes_what_all_of_them_take_and_the_bill_says_how_many() -> None:
    config = made_config(resources={"label": {"max_actors": 1}}, labeling={"views": {"flip": True, "crops": 5}})
    plain = made_config(resources={"label": {"max_actors": 1}})
    measured = made_measurement(measured_students(generation_plans(config))[0])
    students = tuple(
        student.model_copy(update={"clean": student.clean.model_copy(update={"views_seconds": 0.5})})
        for student in measured.students
    )
    sizes = dict.fromkeys(PARTS, DatasetSize(rows=100, shards=1)) | {"unlabeled": DatasetSize(10_000, 100)}
    of_views = measured.model_copy(update={"students": students})
    bills = [billed(plain), write_bill(config, EstimateSettings(), sizes, of_views, JOB)]
    once, often = (line(bill.as_configured, 1, "label") for bill in bills)
    extra = 0.5 - students[0].clean.predict_seconds
    assert often.work_seconds - once.work_seconds == pytest.approx(10_000 * extra)
    assert (once.views, often.views, line(bills[1].as_configured, 1, "train").views) == (1, 10, None)
    assert (once.images, often.images) == (10_000, 10_000)
    judged = [line(bill.as_configured, 1, "evaluate").work_seconds for bill in bills]
    assert judged[0] == judged[1]
    assert ["labeling.views" in " ".join(bill.assumptions) for bill in bills] == [False, True]
