"""Listings, which iterate over all pages, and event streams."""

from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, Concatenate, Generic, Self, TypeVar, overload

from noisy_student.operations import Arguments, Operation, Resource, Taken, carry_out, read_model, request_of
from noisy_student.steps import Emit, Steps, follow
from noisy_student.tables import to_dataframe
from noisy_student.transport import AsyncTransport, SyncTransport
from service.views.base import Page, View

if TYPE_CHECKING:
    import pandas

Item = TypeVar("Item", bound=View)
Value = TypeVar("Value")
_PAGE = 100
"""The largest page that the API returns."""


class _Listing(Generic[Item]):
    """A listing whose `operation` returns one page. It requests each page only when iteration reaches it."""

    def __init__(self, way: Any, operation: Operation[Page[Item]], arguments: Arguments, limit: int | None) -> None:
        self._way = way
        self._operation = operation
        self._arguments = arguments
        self._limit = limit

    def _steps(self) -> Steps[None]:
        left, cursor = self._limit, None
        while left is None or left > 0:
            wanted = {"limit": _PAGE if left is None else min(left, _PAGE), "cursor": cursor}
            arguments = Arguments(self._arguments.path, {**self._arguments.query, **wanted})
            page = yield from carry_out(self._way, self._operation, arguments)
            yield Emit(page)
            cursor = page.next_cursor
            if cursor is None:
                return
            left = None if left is None else left - len(page.items)


class Pages(_Listing[Item]):
    """Iterates over the items, newest first. Each iteration sends new requests."""

    def __iter__(self) -> Iterator[Item]:
        for page in self.pages():
            yield from page.items

    def pages(self) -> Iterator[Page[Item]]:
        """Iterates over whole pages."""
        return iter(self._way.iterate(self._steps()))

    def to_dataframe(self) -> "pandas.DataFrame":
        """One row per item. Nested values get dotted column names. Raises ModuleNotFoundError without pandas."""
        return to_dataframe(self)


class AsyncPages(_Listing[Item]):
    """Iterates over the items, newest first. Each iteration sends new requests."""

    async def __aiter__(self) -> AsyncIterator[Item]:
        async for page in self.pages():
            for item in page.items:
                yield item

    def pages(self) -> AsyncIterator[Page[Item]]:
        """Iterates over whole pages."""
        pages: AsyncIterator[Page[Item]] = self._way.iterate(self._steps())
        return pages

    async def to_dataframe(self) -> "pandas.DataFrame":
        """One row per item. Nested values get dotted column names. Raises ModuleNotFoundError without pandas."""
        return to_dataframe([item async for item in self])


class ListMethod(Generic[Taken, Item]):
    """A resource's method that returns a listing."""

    def __init__(self, path: str, item: type[Item], arguments: Callable[Concatenate[Any, Taken], Arguments]) -> None:
        self._path, self._item = path, item
        self._arguments = arguments
        self.__doc__ = arguments.__doc__

    @property
    def operation(self) -> Operation[Page[Item]]:
        """The operation that returns one page. It is built at first use, because a page's model takes a while."""
        return Operation("GET", self._path, Page[self._item])  # type: ignore[name-defined]

    @overload
    def __get__(self, resource: None, owner: Any) -> Self: ...
    @overload
    def __get__(self, resource: Resource[SyncTransport], owner: Any) -> Callable[Taken, Pages[Item]]: ...
    @overload
    def __get__(self, resource: Resource[AsyncTransport], owner: Any) -> Callable[Taken, AsyncPages[Item]]: ...
    def __get__(self, resource: Resource[Any] | None, owner: Any) -> Any:
        if resource is None:
            return self
        kind = Pages if isinstance(resource._way, SyncTransport) else AsyncPages

        @wraps(self._arguments)
        def call(*args: Taken.args, **kwargs: Taken.kwargs) -> Any:
            arguments = self._arguments(resource, *args, **kwargs)
            limit = arguments.query.get("limit")
            return kind(resource._way, self.operation, arguments, limit if isinstance(limit, int) else None)

        return call


def listing(
    path: str, item: type[Item]
) -> Callable[[Callable[Concatenate[Any, Taken], Arguments]], ListMethod[Taken, Item]]:
    """A decorator like `operation`, for a method that lists. `limit` in the query counts all items, not a page's."""
    return lambda arguments: ListMethod(path, item, arguments)


class IteratedMethod(Generic[Taken, Value]):
    """A resource's method that yields what its steps emit."""

    def __init__(self, steps: Callable[Concatenate[Any, Taken], Steps[None]]) -> None:
        self._steps = steps
        self.__doc__ = steps.__doc__

    @overload
    def __get__(self, resource: None, owner: Any) -> Self: ...
    @overload
    def __get__(self, resource: Resource[SyncTransport], owner: Any) -> Callable[Taken, Iterator[Value]]: ...
    @overload
    def __get__(self, resource: Resource[AsyncTransport], owner: Any) -> Callable[Taken, AsyncIterator[Value]]: ...
    def __get__(self, resource: Resource[Any] | None, owner: Any) -> Any:
        if resource is None:
            return self

        @wraps(self._steps)
        def call(*args: Taken.args, **kwargs: Taken.kwargs) -> Any:
            return resource._way.iterate(self._steps(resource, *args, **kwargs))

        return call


def iterated(
    value: type[Value],
) -> Callable[[Callable[Concatenate[Any, Taken], Steps[None]]], IteratedMethod[Taken, Value]]:
    """A decorator for a method whose steps emit values of that type."""
    return lambda steps: IteratedMethod(steps)


class StreamMethod(Generic[Taken, Item]):
    """A resource's method that follows server-sent events. `after` in its query says where to begin."""

    def __init__(self, path: str, item: type[Item], arguments: Callable[Concatenate[Any, Taken], Arguments]) -> None:
        self.operation: Operation[Item] = Operation("GET", path, item)
        self._arguments = arguments
        self.__doc__ = arguments.__doc__

    @overload
    def __get__(self, resource: None, owner: Any) -> Self: ...
    @overload
    def __get__(self, resource: Resource[SyncTransport], owner: Any) -> Callable[Taken, Iterator[Item]]: ...
    @overload
    def __get__(self, resource: Resource[AsyncTransport], owner: Any) -> Callable[Taken, AsyncIterator[Item]]: ...
    def __get__(self, resource: Resource[Any] | None, owner: Any) -> Any:
        if resource is None:
            return self

        @wraps(self._arguments)
        def call(*args: Taken.args, **kwargs: Taken.kwargs) -> Any:
            return resource._way.iterate(self._steps(resource, *args, **kwargs))

        return call

    def _steps(self, resource: Resource[Any], *args: Taken.args, **kwargs: Taken.kwargs) -> Steps[None]:
        arguments = self._arguments(resource, *args, **kwargs)
        after = arguments.query.get("after")
        request = request_of(self.operation, Arguments(arguments.path))
        read = partial(read_model, self.operation.answer)
        return follow(resource._way.connection, request, after if isinstance(after, int) else None, read)


def stream(
    path: str, item: type[Item]
) -> Callable[[Callable[Concatenate[Any, Taken], Arguments]], StreamMethod[Taken, Item]]:
    """A decorator like `operation`, for a method that follows events."""
    return lambda arguments: StreamMethod(path, item, arguments)
