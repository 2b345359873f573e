"""Judges inputs, with one verdict each. If the service dies, it is restarted for the next input."""

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
    """The outcome of one input."""

    given: Input
    problems: tuple[str, ...]
    skipped: bool = False
    """Whether the input was not tried because the program that makes it is not on this machine."""

    @property
    def wrong(self) -> bool:
        """Whether the outcome differs from all expected ones."""
        return bool(self.problems)

    def line(self) -> str:
        """The verdict on one line, without characters that a terminal would obey."""
        text = f"{self.given.kind}: {self.given.name}: {'; '.join(self.problems)}"
        return text.encode("unicode_escape").decode("ascii")


def judge_all(inputs: Iterable[Input], service: ServiceProcess, folder: Path) -> Iterator[Verdict]:
    """Yields verdicts in the order of the inputs. The files of an input are deleted after it."""
    good = GoodBodies(service, folder / "good")
    for number, given in enumerate(inputs):
        if isinstance(given, DatasetInput) and not _can_be_made(given):
            yield Verdict(given, (), skipped=True)
            continue
        place = folder / f"input-{number:04d}"
        # An input may also write next to its own folder.
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
    except Exception as error:  # one unforeseen failure must not end the judging of hundreds of inputs
        return [f"the judge does not come to an end: {type(error).__name__}: {error}"]
