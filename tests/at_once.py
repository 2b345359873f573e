"""Threads for tests: started together, awaited with a timeout. What they raise is raised in the test."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

LONG_SECONDS = 60.0
"""Longer than a moment ever takes on a busy machine, and shorter than a test's limit."""
Answer = TypeVar("Answer")


def at_once(works: Sequence[Callable[[], Answer]]) -> list[Answer]:
    """Runs all functions in threads that start together, and returns their results in the order of the functions.

    Raises what the first failing one has raised, and TimeoutError if one does not end.
    """
    together = threading.Barrier(len(works))
    answers: dict[int, Answer] = {}
    errors: list[BaseException] = []

    def do(number: int, work: Callable[[], Answer]) -> None:
        try:
            together.wait(LONG_SECONDS)
            answers[number] = work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=do, args=each, daemon=True) for each in enumerate(works)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + LONG_SECONDS
    for thread in threads:
        join(thread, deadline - time.monotonic())
    if errors:
        raise errors[0]
    return [answers[number] for number in range(len(works))]


def join(thread: threading.Thread, timeout_seconds: float = LONG_SECONDS) -> None:
    """Waits for the thread to end. Raises TimeoutError if it does not."""
    thread.join(max(0.0, timeout_seconds))
    if thread.is_alive():
        raise TimeoutError(f"{thread.name} goes on after {LONG_SECONDS:.0f} s")


def wait_until(condition: Callable[[], object], what: str, timeout_seconds: float = LONG_SECONDS) -> None:
    """Polls until the condition holds. Raises AssertionError with `what` if it never does."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout_seconds:.0f} s in vain for {what}"
        time.sleep(0.01)
