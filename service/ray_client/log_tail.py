"""Extracts the end of a job's log from Ray's answer as it arrives: a JSON object with the whole log as one string."""

import json
import re
from collections import deque
from collections.abc import Iterable, Iterator

_LONGEST_ESCAPE = 12
"""A bound on the bytes of JSON per byte of the log: \\u0001 takes six, and a pair of them stands for four bytes."""
_OPENING = re.compile(rb'\s*\{\s*"logs"\s*:\s*"')
_CLOSING = re.compile(r'"\s*\}\s*\Z')
_OPENING_BYTES, _CLOSING_BYTES = 64, 64
"""The lengths of what surrounds the log in the JSON, with room for white space."""


def end_of_log(answer: Iterable[bytes], max_bytes: int) -> bytes:
    """Returns at most the last `max_bytes` of the log in UTF-8. If it must cut the log, the result begins with a line.

    `answer` is the body in pieces, of which it keeps only about as much of the end as it may need. Raises ValueError
    if the body is not an answer of Ray.
    """
    pieces = iter(answer)
    begin = _beginning(pieces)
    opening = _OPENING.match(begin)
    if opening is None:
        return _without_a_log(begin + b"".join(pieces))
    held, cut = _last_pieces(begin[opening.end() :], pieces, max_bytes * _LONGEST_ESCAPE + _CLOSING_BYTES)
    log = _decoded(held.decode(errors="replace"), cut).encode(errors="replace")
    if not cut and len(log) <= max_bytes:
        return log
    log = log[-max_bytes:]
    _, newline, lines = log.partition(b"\n")
    # One endless line, such as a progress bar writes, is cut between any two characters.
    return lines if newline else log.decode(errors="ignore").encode()


def _beginning(pieces: Iterator[bytes]) -> bytes:
    begin = b""
    for piece in pieces:
        begin += piece
        if len(begin) >= _OPENING_BYTES:
            break
    return begin


def _without_a_log(body: bytes) -> bytes:
    answer = json.loads(body)
    if not isinstance(answer, dict) or answer.get("logs"):
        raise ValueError("Ray's answer has no log")
    return b""


def _last_pieces(first: bytes, pieces: Iterator[bytes], enough: int) -> tuple[bytes, bool]:
    """Returns at least the last `enough` bytes, and whether anything before them was dropped."""
    held, size, cut = deque([first]), len(first), False
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        while size - len(held[0]) >= enough:
            size -= len(held.popleft())
            cut = True
    return b"".join(held), cut


def _decoded(text: str, cut: bool) -> str:
    closing = _CLOSING.search(text)
    if closing is None:
        raise ValueError("Ray's answer ends in the midst of the log")
    text = text[: closing.start()]
    if cut:
        # Whatever preceded the cut, no escape continues beyond the first character that is not a backslash.
        text = text.lstrip("\\")[1:]
    return str(json.loads(f'"{text}"', strict=False))
