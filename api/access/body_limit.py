"""Request bodies are limited: by the length they announce, and by what really comes."""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message, Receive


class BodyTooLarge(HTTPException):
    """413. FastAPI passes it on from wherever the body is read, and the handler of HTTP errors answers."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(413, f"the body of a request may have {max_bytes} bytes")


def limited(receive: Receive, request: Request, max_bytes: int) -> Receive:
    """`receive` that gives no more than `max_bytes`. Raises BodyTooLarge, at once where the length is announced."""
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
