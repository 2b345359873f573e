"""Limits the size of request bodies: both the announced length and the bytes that arrive."""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message, Receive


class BodyTooLarge(HTTPException):
    """Status 413. FastAPI passes it on wherever the body is read, and the handler of HTTP errors responds."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(413, f"the body of a request may have {max_bytes} bytes")


def limited(receive: Receive, request: Request, max_bytes: int) -> Receive:
    """`receive`, limited to `max_bytes`. Raises BodyTooLarge, at once if the announced length is too large."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > max_bytes:
        raise BodyTooLarge(max_bytes)
    received = 0

    async def receive_limited() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > max_bytes:
            raise BodyTooLarge(max_bytes)
        return message

    return receive_limited
