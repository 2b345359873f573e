"""Callers are authenticated even while every thread of the routes hangs."""

from collections.abc import Callable

import anyio
import httpx
from anyio.to_thread import current_default_thread_limiter
from fastapi import FastAPI


def test_callers_are_identified_and_recorded_while_all_routes_hang(
    secured: FastAPI, make_key: Callable[..., str]
) -> None:
    viewer = {"Authorization": f"Bearer {make_key('viewer')}"}

    async def statuses() -> list[int]:
        limiter = current_default_thread_limiter()
        for number in range(int(limiter.total_tokens)):
            limiter.acquire_on_behalf_of_nowait(f"a route that hangs, {number}")
        transport = httpx.ASGITransport(secured)
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            with anyio.fail_after(10):
                return [
                    (await client.get("/runs")).status_code,
                    (await client.post("/runs", headers=viewer, json={})).status_code,
                ]

    assert anyio.run(statuses) == [401, 403]
    [entry] = secured.state.services.audit.list_entries().items
    assert (entry.path, entry.status) == ("/runs", 403)
