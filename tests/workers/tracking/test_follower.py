"""A tracker that fails, hangs or dies costs a stage nothing but its own figures, and those only until it answers."""

import logging
import math
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests import at_once
from tests.support.played_stages import SOON, log, train, train_result, train_spec
from workers.specs.recipe import Recipe
from workers.tracking import stage_tracking
from workers.tracking.endings import Ending
from workers.tracking.follower import Follower
from workers.tracking.subjects import Subject, flat, stage_subject
from workers.tracking.timeline import Point, Timeline, continued


class Memory:
    """A tracker that keeps what it is told. The first `errors` times that it is asked for a report, it is away."""

    def __init__(self, errors: int = 0) -> None:
        self.errors = errors
        self.points: list[Point] = []
        self.endings: list[Ending] = []

    def open(self, subject: Subject) -> "Memory":
        if self.errors:
            self.errors -= 1
            raise ConnectionError("nobody listens")
        return self

    def write(self, points: Sequence[Point]) -> None:
        self.points = list(points)

    def end(self, ending: Ending) -> None:
        self.endings.append(ending)


class Hanging(Memory):
    """A tracker that never answers."""

    def open(self, subject: Subject) -> "Memory":
        threading.Event().wait()
        raise AssertionError


def test_a_tracker_that_was_away_is_told_all_that_it_has_missed(tmp_path: Path) -> None:
    spec, tracker = train_spec(str(tmp_path)), Memory(errors=3)
    follower = Follower("the tracker", lambda: tracker, spec, SOON, SOON)

    follower.start()
    log(spec, [5, 10, 15])
    at_once.wait_until(lambda: tracker.errors == 0, "the end of its absence")
    follower.stop(Ending("finished"))
    follower.wait(30)

    assert [point.step for point in tracker.points] == [5, 10, 15]
    assert tracker.endings == [Ending("finished")]


def test_the_same_trouble_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spec, tracker = train_spec(str(tmp_path)), Memory(errors=10_000)
    follower = Follower("the tracker", lambda: tracker, spec, 0.001, 0.001)

    follower.start()
    at_once.wait_until(lambda: tracker.errors < 9_990, "ten errors")
    follower.stop(Ending("finished"))
    follower.wait(30)

    [said] = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert said == "figures do not reach the tracker, the stage goes on without: ConnectionError: nobody listens"


def test_a_tracker_that_never_answers_holds_up_only_itself_and_the_end_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    spec, other = train_spec(str(tmp_path)), Memory()
    trackers = [("the tracker", Hanging), ("another", lambda: other)]
    monkeypatch.setattr(stage_tracking, "_trackers", lambda spec: trackers)
    monkeypatch.setattr(stage_tracking, "_END_SECONDS", 0.5)

    train(spec, [5, 10])

    assert [point.step for point in other.points] == [5, 10]
    assert [ending.state for ending in other.endings] == ["finished"]
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [
        "the tracker does not answer: it misses the last figures of this stage"
    ]


def test_what_is_repeated_after_a_checkpoint_takes_the_place_of_what_was_logged_before() -> None:
    def points(*steps: int, at: float) -> list[Point]:
        return [Point(step, at, {}) for step in steps]

    first, second = points(5, 10, 15, at=1.0), points(10, 20, at=2.0)
    assert continued(first, second) == [*points(5, at=1.0), *second]
    assert continued(first, []) == first
    assert continued([], second) == second


def test_a_loss_that_is_no_number_is_read_like_any_other(tmp_path: Path) -> None:
    spec = train_spec(str(tmp_path))
    with stage_tracking.tracked(spec, SOON) as tell:
        reporter_rows = Path(spec.folder_uri) / "metrics-a1.jsonl"
        reporter_rows.write_text('{"attempt": 1, "step": 5, "at": 1.0, "values": {"loss": NaN}}\n')
        tell(train_result(spec))

    [point] = Timeline(spec.folder_uri, 1).read()
    assert math.isnan(point.values["loss"])


def test_parameters_of_a_training_are_its_recipe_by_dotted_names() -> None:
    found = flat(Recipe(steps=40).model_dump(mode="json"))
    assert (found["steps"], found["noise.rand_augment.n"], found["schedule.kind"]) == (40, 2, "cosine")
    assert found["mean"] == "[0.485, 0.456, 0.406]"
    assert "mixing" not in found  # there is none


def test_a_stage_knows_its_teacher_and_its_model(tmp_path: Path) -> None:
    facts = stage_subject(train_spec(str(tmp_path), generation=2)).facts
    assert (facts["teacher"], facts["model"]) == ("run-0a1b-g1", "run-0a1b-g2")
