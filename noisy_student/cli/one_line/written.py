"""Writes a run's body as YAML with the reasons as comments, which `-f` takes back. No I/O."""

from collections.abc import Iterator, Sequence
from textwrap import wrap

from noisy_student.cli.bodies import as_yaml
from noisy_student.cli.one_line.choice import ChosenRun
from workers.specs.text import shown

_WIDTH = 100


def as_commented_yaml(chosen: ChosenRun, head: Sequence[str] = ()) -> str:
    """The body as a YAML document. Sentences of `head` come first, and a field's reasons above it."""
    lines = [line for sentence in head for line in _comment(sentence)]
    for name, value in chosen.body.items():
        for reason in chosen.reasons.get(name, ()):
            lines += _comment(reason)
        lines.append(as_yaml({name: value}).rstrip("\n"))
    return "\n".join(lines)


def _comment(sentence: str) -> Iterator[str]:
    return (f"# {line}" for line in wrap(shown(sentence), _WIDTH))
