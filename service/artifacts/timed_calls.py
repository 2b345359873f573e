"""Calls to the artifact store with a timeout that the reconciler can afford."""

from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

from service.errors import ArtifactStoreUnavailable

THREADS = 16

Key = TypeVar("Key", bound=Hashable)
Answer = TypeVar("Answer")


class ArtifactCalls:
    """Makes calls in threads, several at a time. The object itself is not thread-safe.

    A hanging call occupies its thread, and calls with its key are refused until it returns. When calls hang in all
    threads, every call is refused.
    """

    def __init__(self, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="artifacts")
        self._hanging: dict[Hashable, Future[Any]] = {}

    def one(self, key: Hashable, call: Callable[[], Answer]) -> Answer:
        """Returns what `call` returns. Raises ArtifactStoreUnavailable if it raises OSError or hangs."""
        answers: dict[Hashable, Answer | ArtifactStoreUnavailable] = self.many({key: call})
        answer = answers[key]
        if isinstance(answer, ArtifactStoreUnavailable):
            raise answer
        return answer

    def many(self, calls: Mapping[Key, Callable[[], Answer]]) -> dict[Key, Answer | ArtifactStoreUnavailable]:
        """Returns the answer of each call, or why there is none, within the timeout."""
        self._hanging = {key: future for key, future in self._hanging.items() if not future.done()}
        free = len(self._hanging) < THREADS
        futures: dict[Key, Future[Answer | ArtifactStoreUnavailable]] = {
            key: self._threads.submit(call) for key, call in calls.items() if free and key not in self._hanging
        }
        wait(futures.values(), timeout=self._timeout_seconds)
        return {key: self._answer(key, futures.get(key)) for key in calls}

    def close(self) -> None:
        """Ends the idle threads, and does not wait for hanging ones."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _answer(self, key: Key, future: Future[Answer] | None) -> Answer | ArtifactStoreUnavailable:
        if future is not None and future.done():
            try:
                return future.result()
            except OSError as error:
                return ArtifactStoreUnavailable(f"the artifact store: {error}")
        if future is not None and not future.cancel():
            self._hanging[key] = future
        return ArtifactStoreUnavailable(f"the artifact store does not answer within {self._timeout_seconds:g} s")
