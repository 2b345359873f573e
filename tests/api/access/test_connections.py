"""Callers without a credential cannot fill the server with what arrives before it checks for one."""

import logging
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from api.access.connections import ConnectionLimits, SaidRarely
from api.access.login_page import MAX_FORM_BYTES
from tests.support.fake_clock import FakeClock

pytestmark = pytest.mark.attack

_PIECE = b"a" * (64 << 10)
_ALL_BYTES = 25 << 20


@contextmanager
def connected(server: str) -> Iterator[socket.socket]:
    address = urlsplit(server)
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        yield connection


def rest_of(connection: socket.socket) -> bytes:
    """The bytes received until the connection ends. Each wait is bounded."""
    came = b""
    try:
        while chunk := connection.recv(65536):
            came += chunk
    except ConnectionError:
        pass
    return came


def takes_all(connection: socket.socket, piece: bytes) -> bool:
    """Whether the server accepts the piece, repeated to 25 MiB."""
    try:
        for _ in range(_ALL_BYTES // len(piece)):
            connection.sendall(piece)
    except ConnectionError:
        return False
    return True


@pytest.mark.parametrize(
    "begin",
    [
        b"GET /",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: ",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nX",
        b"POST /ui/login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ",
        b"POST /ui/login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;",
    ],
    ids=["path", "header", "name", "trailer", "chunk"],
)
def test_a_head_without_end_is_not_kept(server: str, begin: bytes) -> None:
    with connected(server) as connection:
        connection.sendall(begin)
        assert not takes_all(connection, _PIECE)
    assert httpx.get(f"{server}/healthz", trust_env=False).status_code == 200


def test_many_trailers_are_not_kept(server: str) -> None:
    with connected(server) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")
        assert not takes_all(connection, b"X: a\r\n" * 10_000)


def test_a_large_body_in_small_chunks_is_taken(server: str) -> None:
    def chunks() -> Iterator[bytes]:
        yield b'{"name": "'
        for _ in range(20_000):
            yield b"x" * 64
        yield b'"}'

    headers = {"Content-Type": "application/json"}
    answer = httpx.post(f"{server}/runs", content=chunks(), headers=headers, trust_env=False, timeout=60)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "name")


class TestSlowClients:
    @pytest.fixture
    def connection_limits(self) -> ConnectionLimits:
        return ConnectionLimits(request_seconds=0.3)

    @pytest.mark.parametrize(
        "begin",
        [
            b"",
            b"GET /healthz HT",
            b"GET /healthz HTTP/1.1\r\nHost: x\r\n",
            b"POST /ui/login HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\nkey=",
            b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET",
        ],
    )
    def test_a_request_that_does_not_come_to_its_end_is_cut_off(self, server: str, begin: bytes) -> None:
        with connected(server) as connection:
            connection.sendall(begin)
            came = rest_of(connection)
        assert came.count(b"HTTP/1.1 200") == begin.count(b"\r\n\r\n") - begin.count(b"POST")

    def test_a_long_answer_is_not_cut_off(self, server: str) -> None:
        with connected(server) as connection:
            connection.sendall(b"GET /events/stream HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            came = b""
            while b"retry:" not in came:
                came += connection.recv(65536)
            connection.settimeout(1.0)
            with pytest.raises(TimeoutError):
                connection.recv(1)


class TestManyConnections:
    @pytest.fixture
    def connection_limits(self) -> ConnectionLimits:
        return ConnectionLimits(most=5)

    def test_those_that_keep_the_server_waiting_make_room(self, server: str) -> None:
        with ExitStack() as opened, httpx.Client(base_url=server, trust_env=False, timeout=20) as client:
            stream = opened.enter_context(connected(server))
            stream.sendall(b"GET /events/stream HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            came = b""
            while b"retry:" not in came:
                came += stream.recv(65536)
            silent = []
            for _ in range(20):
                silent.append(opened.enter_context(connected(server)))
                assert client.get("/healthz").status_code == 200
            for connection in silent[:10]:
                assert rest_of(connection) == b""
            stream.setblocking(False)
            with pytest.raises(BlockingIOError):
                stream.recv(1)


def test_who_has_shown_no_credential_sends_no_more_than_a_form(anonymous: TestClient, secured: FastAPI) -> None:
    assert anonymous.post("/ui/login", content=b"key=" + b"x" * MAX_FORM_BYTES).status_code == 413
    assert anonymous.post("/ui/login", content=b"key=x").status_code == 401


def test_requests_that_are_none_do_not_fill_the_log(server: str, caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    rarely = SaidRarely(clock)
    logger = logging.getLogger("uvicorn.error")
    logger.addFilter(rarely)
    try:
        for _ in range(20):
            with connected(server) as connection:
                connection.sendall(b"no request\r\n\r\n")
                assert b" 400 " in rest_of(connection)
        assert caplog.text.count("Invalid HTTP request") == 1
        clock.advance(60)
        with connected(server) as connection:
            connection.sendall(b"no request\r\n\r\n")
            rest_of(connection)
        assert caplog.text.count("Invalid HTTP request") == 2
    finally:
        logger.removeFilter(rarely)
