"""`python -m benchmarks.inputs` tries every input on a real service, prints the wrong outcomes and saves their number.

Words on the command line select inputs whose kind or name contains one of them. Nothing is saved then.
"""

import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from benchmarks.inputs.every import every_input
from benchmarks.inputs.expectations import Input
from benchmarks.inputs.judge import Verdict, judge_all
from benchmarks.inputs.service_process import ServiceProcess
from benchmarks.results import ResultRow, row, save

_COMMAND = "make benchmark-inputs"


def main(words: Sequence[str]) -> int:
    """Judges the inputs. Returns the exit code: 1 if an outcome was wrong."""
    chosen = [given for given in every_input() if _is_chosen(given, words)]
    verdicts: list[Verdict] = []
    with tempfile.TemporaryDirectory() as folder, ServiceProcess(Path(folder) / "home") as service:
        for verdict in judge_all(chosen, service, Path(folder) / "inputs"):
            verdicts.append(verdict)
            if verdict.wrong:
                print(f"WRONG {verdict.line()}", flush=True)
        deaths = service.deaths
    _say(verdicts, deaths)
    if not words:
        save(_rows(verdicts))
    return int(any(verdict.wrong for verdict in verdicts))


def _is_chosen(given: Input, words: Sequence[str]) -> bool:
    return not words or any(word.lower() in f"{given.kind}: {given.name}".lower() for word in words)


def _say(verdicts: Sequence[Verdict], deaths: int) -> None:
    tried, wrong = Counter[str](), Counter[str]()
    for verdict in verdicts:
        tried[verdict.given.kind] += not verdict.skipped
        wrong[verdict.given.kind] += verdict.wrong
    for kind, count in tried.items():
        print(f"{kind:24} {count:5} tried {wrong[kind]:5} wrong")
    skipped = sum(verdict.skipped for verdict in verdicts)
    print(f"{tried.total()} tried, {wrong.total()} wrong, {skipped} skipped, {deaths} deaths of the service")


def _rows(verdicts: Sequence[Verdict]) -> list[ResultRow]:
    skipped = sum(verdict.skipped for verdict in verdicts)
    wrong = sum(verdict.wrong for verdict in verdicts)
    beside = f"{skipped} more need a program that this machine lacks" if skipped else ""
    return [
        row(
            "inputs.tried",
            [len(verdicts) - skipped],
            "inputs, each with a predetermined outcome",
            beside,
            _COMMAND,
        ),
        row("inputs.wrong", [wrong], "of these inputs", "goal: 0", _COMMAND),
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
