"""/events/stream and /runs/{id}/events/stream: every change as a server-sent event."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Header, HTTPException, Query, Request
from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event
from starlette.types import Receive, Scope, Send

from api.access.admission import watch_caller
from api.access.threads import in_access_thread
from api.dependencies import Feed, Places, Queries, RunId, services_of
from api.examples.lifecycle import STREAM
from api.schemas.problem import Answers, problem_responses
from service.access.gatekeeper import Watch
from service.access.own_project import for_all_projects
from service.access.stream_places import WAIT_SECONDS, StreamPlaces
from service.errors import DatabaseUnavailable
from service.runs.event_feed import EventFeed
from service.views.runs import EventView

router = APIRouter(tags=["events"])

_LARGEST_ID = 2**53
_RETRY_MILLISECONDS = 2000
After = Annotated[
    int | None,
    Query(
        ge=0, le=_LARGEST_ID, description="Start after the event with this id; 0 starts with the first.", examples=[41]
    ),
]
LastEventId = Annotated[
    int | None,
    Header(
        alias="Last-Event-ID",
        ge=0,
        le=_LARGEST_ID,
        description="Sent by browsers when they reconnect; takes precedence over `after`.",
        examples=[42],
    ),
]


async def _watch(request: Request) -> Watch:
    return watch_caller(request, services_of(request).gatekeeper)


OfCaller = Annotated[Watch, Depends(_watch)]


class EventStreamResponse(StreamingResponse):
    """A response of type text/event-stream (WHATWG HTML standard, section 9.2). It uses FastAPI's framing, but not its
    response class (docs/decisions/0024)."""

    media_type = "text/event-stream"

    def __init__(self, blocks: AsyncIterator[bytes], at_end: Callable[[], None], status_code: int = 200) -> None:
        # Without this header, proxies buffer a short response before they pass it on.
        super().__init__(blocks, status_code, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._at_end = at_end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._at_end()


_ANSWER: Answers = {
    200: {
        "description": "An endless stream: `id` to resume from, the event as JSON in `data`, and comments in between.",
        "content": {"text/event-stream": {"schema": {"type": "string"}, "example": STREAM}},
    }
}


@router.get(
    "/events/stream",
    summary="Follow all events",
    response_class=EventStreamResponse,
    responses=_ANSWER | problem_responses(422, 503),
)
def follow_events(
    feed: Feed, places: Places, watch: OfCaller, after: After = None, last_event_id: LastEventId = None
) -> EventStreamResponse:
    """Streams every change of every run and dataset, in order and once each. Without `after` and `Last-Event-ID`, it
    starts with new events. Requires a caller of all projects."""
    for_all_projects("this stream tells of every project (that of a run of yours is /runs/{run_id}/events/stream)")
    return _stream(feed, places, watch, after if last_event_id is None else last_event_id, None)


@router.get(
    "/runs/{run_id}/events/stream",
    summary="Follow a run's events",
    response_class=EventStreamResponse,
    responses=_ANSWER | problem_responses(404, 422, 503),
)
def follow_run_events(
    run_id: RunId,
    queries: Queries,
    feed: Feed,
    places: Places,
    watch: OfCaller,
    after: After = None,
    last_event_id: LastEventId = None,
) -> EventStreamResponse:
    """Streams the events of one run. The stream does not end with the run, which may be retried or extended."""
    queries.list_events(run_id, limit=1)  # answers 404 if the run does not exist
    return _stream(feed, places, watch, after if last_event_id is None else last_event_id, run_id)


def _stream(
    feed: EventFeed, places: StreamPlaces, watch: Watch, after: int | None, run_id: str | None
) -> EventStreamResponse:
    if not places.take(watch.caller):
        detail = "as many clients follow events as this process serves; try again later"
        raise HTTPException(503, detail, headers={"Retry-After": str(round(WAIT_SECONDS))})
    return EventStreamResponse(_blocks(feed.follow(after, run_id), watch), partial(places.give_back, watch.caller))


async def _blocks(events: AsyncGenerator[EventView | None, None], watch: Watch) -> AsyncIterator[bytes]:
    yield format_sse_event(retry=_RETRY_MILLISECONDS)
    async with aclosing(events):
        async for event in events:
            if watch.is_due and not await _may_have(event, watch):
                return
            yield format_sse_event(comment="still here") if event is None else _block(event)


def _block(event: EventView) -> bytes:
    """The bytes of one event in the stream."""
    return format_sse_event(id=str(event.id), data_str=event.model_dump_json())


async def _may_have(event: EventView | None, watch: Watch) -> bool:
    try:
        return await in_access_thread(watch.look)
    except DatabaseUnavailable:
        # A heartbeat reveals nothing, and keeps the stream open: a browser that reconnects would take a 503 for final.
        return event is None
