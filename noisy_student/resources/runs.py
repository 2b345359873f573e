"""Runs: start, wait for, pause, stop and retry them. A run that a client returns keeps a reference to it."""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from functools import partial, wraps
from typing import Any, ClassVar, Concatenate, Generic, Self, overload

from pydantic import BaseModel, PrivateAttr

from noisy_student.filters import Since, State, conditions
from noisy_student.operations import Arguments, Body, Method, Operation, Resource, Taken, carry_out
from noisy_student.pages import AsyncPages, Pages, listing, stream
from noisy_student.steps import Steps
from noisy_student.transport import AsyncTransport, SyncTransport, Way
from noisy_student.waiting import Progress, Until, wait_for_end
from service.config.run import GenerationOverrides, RunChanges, RunConfig
from service.views.runs import EventView, RunSummary, RunView

_GET = Operation("GET", "/runs/{run_id}", RunView)
_LOOK_SECONDS = 30.0
"""The timeout of each request while waiting for a run, so that an API that hangs is asked again."""


class RunMethod(Generic[Taken]):
    """A method of `Runs` that returns a run with a reference to its client."""

    def __init__(
        self,
        steps: Callable[Concatenate[Any, Taken], Steps[RunView]],
        documented: Callable[..., Any],
        operation: Operation[RunView] | None,
    ) -> None:
        self.steps = steps
        self.operation = operation
        self._documented = documented
        self.__doc__ = documented.__doc__

    @overload
    def __get__(self, runs: None, owner: Any) -> Self: ...
    @overload
    def __get__(self, runs: Resource[SyncTransport], owner: Any) -> Callable[Taken, "Run"]: ...
    @overload
    def __get__(
        self, runs: Resource[AsyncTransport], owner: Any
    ) -> Callable[Taken, Coroutine[Any, Any, "AsyncRun"]]: ...
    def __get__(self, runs: Resource[Any] | None, owner: Any) -> Any:
        if runs is None:
            return self

        @wraps(self._documented)
        def call(*args: Taken.args, **kwargs: Taken.kwargs) -> Any:
            return runs._way.carry_out(_known_to(runs, self.steps(runs, *args, **kwargs)))

        return call


def _answers_run(
    method: str, path: str, body: type[BaseModel] | None = None, once: bool = False
) -> Callable[[Callable[Concatenate[Any, Taken], Arguments]], RunMethod[Taken]]:
    def decorate(arguments: Callable[Concatenate[Any, Taken], Arguments]) -> RunMethod[Taken]:
        operation = Operation(method, path, RunView, body, once)
        return RunMethod(Method(operation, arguments).steps, arguments, operation)

    return decorate


def _waits(steps: Callable[Concatenate[Any, Taken], Steps[RunView]]) -> RunMethod[Taken]:
    return RunMethod(steps, steps, None)


def _once(run_id: str, idempotency_key: str | None) -> Arguments:
    return Arguments({"run_id": run_id}, idempotency_key=idempotency_key)


class Runs(Resource[Way]):
    """Runs. Each is one line of teachers and students."""

    @_answers_run("POST", "/runs", RunConfig, once=True)
    def create(self, config: Body, *, idempotency_key: str | None = None) -> Arguments:
        """Starts a run."""
        return Arguments(body=config, idempotency_key=idempotency_key)

    @listing("/runs", RunSummary)
    def list(
        self,
        limit: int | None = None,
        *,
        state: State = None,
        project: str | None = None,
        since: Since = None,
    ) -> Arguments:
        """Lists runs, newest first: all, or those in one of certain states, of a project, or created since then."""
        return Arguments(query={"limit": limit, **conditions(project, since, state)})

    @_answers_run("GET", "/runs/{run_id}")
    def get(self, run_id: str) -> Arguments:
        """Returns one run with its generations, stages, attempts, progress and models."""
        return Arguments({"run_id": run_id})

    @_answers_run("PATCH", "/runs/{run_id}", RunChanges)
    def change(self, run_id: str, changes: Body) -> Arguments:
        """Changes a run's priority, and with it the place of its stages in the queue."""
        return Arguments({"run_id": run_id}, body=changes)

    @_answers_run("POST", "/runs/{run_id}/pause", once=True)
    def pause(self, run_id: str, *, idempotency_key: str | None = None) -> Arguments:
        """Pauses a run. The stage in flight ends after its current unit, and what is done is kept."""
        return _once(run_id, idempotency_key)

    @_answers_run("POST", "/runs/{run_id}/resume", once=True)
    def resume(self, run_id: str, *, idempotency_key: str | None = None) -> Arguments:
        """Continues a run from where it was paused."""
        return _once(run_id, idempotency_key)

    @_answers_run("POST", "/runs/{run_id}/cancel", once=True)
    def cancel(self, run_id: str, *, idempotency_key: str | None = None) -> Arguments:
        """Stops a run and its Ray job."""
        return _once(run_id, idempotency_key)

    @_answers_run("POST", "/runs/{run_id}/retry", once=True)
    def retry(self, run_id: str, *, idempotency_key: str | None = None) -> Arguments:
        """Continues a failed or cancelled run from the stage where it stopped."""
        return _once(run_id, idempotency_key)

    @_answers_run("POST", "/runs/{run_id}/generations", GenerationOverrides, once=True)
    def add_generation(
        self, run_id: str, overrides: Body | None = None, *, idempotency_key: str | None = None
    ) -> Arguments:
        """Adds one generation to a finished run. `overrides` says what it does differently."""
        return Arguments({"run_id": run_id}, body=overrides, idempotency_key=idempotency_key)

    @listing("/runs/{run_id}/events", EventView)
    def events(self, run_id: str, limit: int | None = None) -> Arguments:
        """Lists a run's history, newest first."""
        return Arguments({"run_id": run_id}, {"limit": limit})

    @stream("/runs/{run_id}/events/stream", EventView)
    def follow_events(self, run_id: str, after: int | None = None) -> Arguments:
        """Yields a run's events as they happen, without end, even after the run has ended, since it may be retried or
        extended. Starts after the event with id `after`; with the first event if it is 0, and now if it is None.
        Reconnects if the connection is lost."""
        return Arguments({"run_id": run_id}, {"after": after})

    @_waits
    def wait(
        self,
        run_id: str,
        *,
        progress: Progress | None = None,
        until: Until | None = None,
        timeout_seconds: float | None = None,
        poll_seconds: float = 1.0,
    ) -> Steps[RunView]:
        """Waits until a run has ended, and returns it; its `state` says whether it succeeded. Calls `progress` with the
        run at each poll, and returns earlier if `until` holds for it. If the API restarts meanwhile, the
        wait continues. Ids of searches, ablations and plans work as well. Raises WaitTimedOut after
        `timeout_seconds`."""
        look = partial(carry_out, self._way, _GET, Arguments({"run_id": run_id}), _LOOK_SECONDS)
        return wait_for_end(self._way.connection, look, progress, until, timeout_seconds, poll_seconds)


class _OfThisRun(Generic[Taken]):
    """A method of `Runs`, bound to a run so that it takes no run id."""

    def __init__(self, method: "RunMethod[Concatenate[str, Taken]]") -> None:
        self._method = method
        self.__doc__ = method.__doc__

    @overload
    def __get__(self, run: None, owner: Any) -> Self: ...
    @overload
    def __get__(self, run: "Run", owner: Any) -> Callable[Taken, "Run"]: ...
    @overload
    def __get__(self, run: "AsyncRun", owner: Any) -> Callable[Taken, Coroutine[Any, Any, "AsyncRun"]]: ...
    def __get__(self, run: "_KnownRun | None", owner: Any) -> Any:
        return self if run is None else partial(self._method.__get__(run._runs, type(run._runs)), run.id)


class _KnownRun(RunView):
    """A run as it was when the API responded, with methods that act on it. Each returns the run's new state."""

    _runs: Any = PrivateAttr()

    refresh: ClassVar = _OfThisRun(Runs.get)
    wait: ClassVar = _OfThisRun(Runs.wait)
    change: ClassVar = _OfThisRun(Runs.change)
    pause: ClassVar = _OfThisRun(Runs.pause)
    resume: ClassVar = _OfThisRun(Runs.resume)
    cancel: ClassVar = _OfThisRun(Runs.cancel)
    retry: ClassVar = _OfThisRun(Runs.retry)
    add_generation: ClassVar = _OfThisRun(Runs.add_generation)


class Run(_KnownRun):
    """A run that the sync client returned."""

    def events(self, limit: int | None = None) -> Pages[EventView]:
        """Lists the run's history, newest first."""
        events: Pages[EventView] = self._runs.events(self.id, limit)
        return events

    def follow_events(self, after: int | None = None) -> Iterator[EventView]:
        """Yields the run's events as they happen, without end."""
        events: Iterator[EventView] = self._runs.follow_events(self.id, after)
        return events


class AsyncRun(_KnownRun):
    """A run that the async client returned."""

    def events(self, limit: int | None = None) -> AsyncPages[EventView]:
        """Lists the run's history, newest first."""
        events: AsyncPages[EventView] = self._runs.events(self.id, limit)
        return events

    def follow_events(self, after: int | None = None) -> AsyncIterator[EventView]:
        """Yields the run's events as they happen, without end."""
        events: AsyncIterator[EventView] = self._runs.follow_events(self.id, after)
        return events


def _known_to(runs: Resource[Any], steps: Steps[RunView]) -> Steps[RunView]:
    """The steps, whose run also gets the methods that act on it."""
    view = yield from steps
    kind = Run if isinstance(runs._way, SyncTransport) else AsyncRun
    run = kind.model_construct(view.model_fields_set, **dict(view))
    run._runs = runs
    return run
