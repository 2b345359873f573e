"""The judge of inputs sees what is wrong, and the service handles a fast subset of its inputs correctly."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.inputs.every import every_input
from benchmarks.inputs.expectations import (
    Accepted,
    Answered,
    Broken,
    DatasetInput,
    Decodes,
    Input,
    PictureInput,
    Refused,
    RequestInput,
    Row,
)
from benchmarks.inputs.judge import judge_all
from benchmarks.inputs.made_pictures import photo, scene
from benchmarks.inputs.service_process import ServiceProcess
from benchmarks.inputs.trees import class_folders, labeled_rows, tree

ONE_IN = 30
"""A subset, of about a thousand inputs, that takes half a minute. `make benchmark-inputs` tries all of them."""
SLOW_KINDS = ("parquet bombs", "picture bombs")
FILES = class_folders()


def problems(service: ServiceProcess, folder: Path, given: Input) -> str:
    [verdict] = judge_all([given], service, folder)
    return "; ".join(verdict.problems)


def test_no_two_inputs_have_the_same_name() -> None:
    names = [(given.kind, given.name) for given in every_input()]
    assert len(names) == len(set(names))


def test_some_of_the_inputs_come_as_they_should(service: ServiceProcess, tmp_path: Path) -> None:
    quick = [given for given in every_input() if given.kind not in SLOW_KINDS][::ONE_IN]
    assert len(quick) > 20
    assert [verdict.line() for verdict in judge_all(quick, service, tmp_path) if verdict.wrong] == []


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        (Accepted(labeled_rows(FILES)), ""),
        (Accepted(labeled_rows(FILES)[1:]), "should not be there"),
        (Accepted((*labeled_rows(FILES), Row("cat", photo(99)))), "lost 1 row"),
        (Accepted((*labeled_rows(FILES)[1:], Row("dog", photo(0)))), "counts its classes as"),
        (Accepted(labeled_rows(FILES), says=("a warning that does not come",)), "says nothing of"),
        (Accepted(labeled_rows(FILES), classes=("dog", "cat")), "has the classes"),
        (Refused(), "answered 201, not 422"),
    ],
)
def test_what_differs_of_an_accepted_dataset_is_seen(
    service: ServiceProcess, tmp_path: Path, expected: Accepted | Refused, said: str
) -> None:
    found = problems(service, tmp_path, DatasetInput("pets", "a test's", tree(FILES), (expected,)))
    assert said in found
    assert bool(said) == bool(found)


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        (Refused(says=("no such",), field="uri"), ""),
        (Refused(says=("a word that does not come",)), "says nothing of"),
        (Refused(never=("no such",)), "says 'no such'"),
        (Refused(field="name"), "blames ['uri'], not name"),
        (Accepted(()), "answered 422, not 201"),
    ],
)
def test_what_differs_of_a_refusal_is_seen(
    service: ServiceProcess, tmp_path: Path, expected: Accepted | Refused, said: str
) -> None:
    found = problems(service, tmp_path, DatasetInput("nothing", "a test's", tree({}, uri="absent"), (expected,)))
    assert said in found
    assert bool(said) == bool(found)


def test_pixels_that_differ_are_seen(service: ServiceProcess, tmp_path: Path) -> None:
    good = PictureInput("a photo", "a test's", lambda: photo(0), (Decodes(),))
    assert problems(service, tmp_path, good) == ""
    another = replace(good, expected=(Decodes(lambda _: scene(5)),))
    assert "of 255 from Pillow's" in problems(service, tmp_path, another)
    assert "should be broken" in problems(service, tmp_path, replace(good, expected=(Broken(("empty",)),)))


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        (Answered((201,)), ""),
        (Answered((422,)), "answered 201, not (422,)"),
        (Answered((201,), says=("a warning that does not come",)), "says nothing of"),
        (Answered((201,), never=("plan-",)), "says 'plan-'"),
    ],
)
def test_what_differs_of_an_answer_is_seen(
    service: ServiceProcess, tmp_path: Path, expected: Answered, said: str
) -> None:
    given = RequestInput("a plan", "a test's", "POST", "/plans", lambda body: body, expected, "plan")
    found = problems(service, tmp_path, given)
    assert said in found
    assert bool(said) == bool(found)


def test_a_service_that_has_died_is_a_problem_and_started_again(service: ServiceProcess, tmp_path: Path) -> None:
    def end_it(folder: Path) -> dict[str, str]:
        service.kill()
        return {}

    deadly, harmless = (
        DatasetInput(name, "a test's", make, (Accepted(labeled_rows(FILES)),))
        for name, make in (("deadly", end_it), ("harmless", tree(FILES)))
    )
    verdicts = list(judge_all([deadly, harmless], service, tmp_path))
    assert "the service's process has ended" in verdicts[0].problems
    assert not verdicts[1].wrong
