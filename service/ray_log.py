"""The end of a job's log, out of Ray's answer as it comes in: a JSON object with the whole log as one string. Pure."""

import json
from collections import deque
from collections.abc import Iterable

_LONGEST_ESCAPE = 12
"""Bytes of JSON for one character, at most: two \\uXXXX for one beyond the basic plane."""


def end_of_log(answer: Iterable[bytes], max_bytes: int) -> bytes:
    """At most the last `max_bytes` of the log in UTF-8, from the beginning of a line where it had to be cut.

    `answer` is the body in pieces; only about as much of its end as may be wanted is held. Raises ValueError for a
    body that is not Ray's.
    """
    held: deque[bytes] = deque()
    size, cut = 0, False
    for piece in answer:
        held.append(piece)
        size += len(piece)
        while size - len(held[0]) > max_bytes * _LONGEST_ESCAPE:
            size -= len(held.popleft())
            cut = True
    body = b"".join(held)
    text = _whole(body) if not cut else _decoded_end(body)
    log = text.encode(errors="replace")
    if not cut and len(log) <= max_bytes:
        return log
    log = log[-max_bytes:]
    return log[log.find(b"\n") + 1 :]


def _whole(body: bytes) -> str:
    answer = json.loads(body)
    if not isinstance(answer, dict):
        raise ValueError("Ray's answer is not an object")
    return str(answer.get("logs") or "")


def _decoded_end(body: bytes) -> str:
    """The string that ends with `body`, from some place after its first bytes on that is no part of an escape."""
    text = body.decode(errors="replace").rstrip().removesuffix("}").rstrip().removesuffix('"')
    # An escape begins at a backslash that an even number of them precedes: after the first other character that is so.
    for start in range(1, min(len(text), 100_000)):
        if "\\" not in text[start - 1 : start + 1]:
            try:
                return str(json.loads(f'"{text[start:]}"', strict=False))
            except ValueError:
                continue
    raise ValueError("Ray's answer is not a log")
