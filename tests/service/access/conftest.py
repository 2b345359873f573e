"""Fixtures: the identity provider that tests of tokens share."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from service.access.oidc import OidcTokens
from tests.support.fake_clock import FakeClock
from tests.support.oidc_provider import Provider, settings_for
from tests.support.served import served


@pytest.fixture(scope="module")
def serving() -> Iterator[Provider]:
    provider = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            provider.fetches += 1
            provider.asked.set()
            if provider.dribble is not None:
                try:
                    while not provider.dribble.wait(0.02):
                        self.wfile.write(b"H")
                except OSError:
                    return
                return
            self.send_response(provider.status)
            self.end_headers()
            self.wfile.write(provider.document().encode())

        def log_message(self, *_: object) -> None:
            """Discards the access log."""

    with served(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as server:
        provider.url = f"http://127.0.0.1:{server.server_port}/jwks"
        provider.add_rsa("one")
        provider.add_ec("two")
        yield provider


@pytest.fixture
def provider(serving: Provider) -> Iterator[Provider]:
    keys = dict(serving.private)
    serving.fetches, serving.status, serving.extra, serving.dribble = 0, 200, [], None
    serving.asked.clear()
    yield serving
    if serving.dribble is not None:
        serving.dribble.set()
    serving.private = keys


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def tokens(provider: Provider, clock: FakeClock) -> OidcTokens:
    return OidcTokens(settings_for(provider), clock)
