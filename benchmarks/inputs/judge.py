"""Judges any input: one verdict each, and a service that has died is started again for the next."""

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.inputs.expectations import CommandInput, DatasetInput, Input, PictureInput, RequestInput
from benchmarks.inputs.foreign_writers import is_there
from benchmarks.inputs.good_bodies import GoodBodies
from benchmarks.inputs.judge_commands import judge_command
from benchmarks.inputs.judge_datasets import judge_dataset
from benchmarks.inputs.judge_pictures import judge_picture
from benchmarks.inputs.judge_requests import judge_request
from benchmarks.inputs.service_process import ServiceProcess


@dataclass(frozen=True)
class Verdict:
    """What came of one input."""

    given: Input
    problems: tuple[str, ...]
    skipped: bool = False
    """The program that makes it is not on this machine."""

    @property
    def wrong(self) -> bool:
        """Whether something else came than should."""
        return bool(self.problems)

    def line(self) -> str:
        """For people; without characters that a terminal would obey."""
        text = f"{self.given.kind}: {self.given.name}: {'; '.join(self.problems)}"
        return text.encode("unicode_escape").decode("ascii")


def judge_all(inputs: Iterable[Input], service: ServiceProcess, folder: Path) -> Iterator[Verdict]:
    """Verdicts in the order of the inputs; the files of an input are deleted after it."""
    good = GoodBodies(service, folder / "good")
    for number, given in enumerate(inputs):
        if isinstance(given, DatasetInput) and not _can_be_made(given):
            yield Verdict(given, (), skipped=True)
            continue
        place = folder / f"input-{number:04d}"
        # Makers may lay more beside the folder that is theirs.
        problems = _problems(given, service, good, place / "input")
        if not service.is_alive():
            problems.append("the service's process has ended")
            service.start_again()
        yield Verdict(given, tuple(problems))
        shutil.rmtree(place, ignore_errors=True)


def _can_be_made(given: DatasetInput) -> bool:
    if given.needs is None:
        return True
    program, _, package = given.needs.partition(":")
    return is_there(package) if package else shutil.which(program) is not None


def _problems(given: Input, service: ServiceProcess, good: GoodBodies, folder: Path) -> list[str]:
    try:
        if isinstance(given, PictureInput):
            return judge_picture(given)
        if isinstance(given, CommandInput):
            return judge_command(given, service, good, folder)
        if isinstance(given, RequestInput):
            return judge_request(given, service, good)
        return judge_dataset(given, service, folder)
    except Exception as error:  # of several hundred, one that fails in a way that nobody thought of is wrong
        return [f"the judge does not come to an end: {type(error).__name__}: {error}"]
