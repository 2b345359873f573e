"""Single deliveries to real HTTP servers, with and without TLS, some of which misbehave."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from service.webhooks.sender import Outcome, send
from tests.at_once import join
from tests.support.webhook_receiver import LOOPBACK, Receiver, self_signed, serving


@pytest.mark.attack
def test_redirects_are_not_followed(receiver: Receiver) -> None:
    receiver.answers, receiver.location = [307], receiver.url
    outcome = send(receiver.url, {}, b'{"run_id": null}', LOOPBACK, 5.0)
    assert outcome.error == "answered 307: redirects are not followed"
    assert len(receiver.received) == 1


@pytest.mark.attack
def test_a_receiver_that_dribbles_its_answer_is_left_in_time(receiver: Receiver) -> None:
    receiver.dawdle = threading.Event()
    outcome = send(receiver.url, {}, b'{"run_id": null}', LOOPBACK, 0.3)
    receiver.dawdle.set()
    assert outcome.error == "no answer within 0.3 s"


@contextmanager
def ill_behaved(answer: Callable[[socket.socket, threading.Event], None]) -> Iterator[str]:
    """A URL whose connections are passed to `answer`, with an event that is set when the test ends."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                try:
                    answer(connection, over)
                except OSError:
                    return  # the sender has closed the connection

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        over.set()
        join(thread)


def _never(_connection: socket.socket, over: threading.Event) -> None:
    over.wait(20)


def _continues_without_end(connection: socket.socket, over: threading.Event) -> None:
    while not over.wait(0.01):
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")


def _heads_without_end(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while not over.is_set():
        connection.sendall(b"x: " + b"y" * 60_000 + b"\r\n")


def _body_without_end(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while not over.is_set():
        connection.sendall(b"y" * 60_000)


def _sent_to(
    answer: Callable[[socket.socket, threading.Event], None], body: bytes = b"{}", scheme: str = ""
) -> Outcome:
    began_at = time.monotonic()
    with ill_behaved(answer) as url:
        outcome = send(url.replace("http:", scheme or "http:"), {}, body, LOOPBACK, 0.5)
        assert time.monotonic() - began_at < 10, "it was held"
    return outcome


@pytest.mark.attack
@pytest.mark.parametrize("answer", [_never, _continues_without_end])
def test_a_receiver_that_never_comes_to_a_status_is_left_in_time(
    answer: Callable[[socket.socket, threading.Event], None],
) -> None:
    assert _sent_to(answer).error == "no answer within 0.5 s"


@pytest.mark.attack
def test_a_receiver_that_never_takes_the_body_is_left_in_time() -> None:
    assert _sent_to(_never, body=b"x" * 50_000_000).error == "no answer within 0.5 s"


@pytest.mark.attack
def test_a_handshake_that_never_comes_is_left_in_time() -> None:
    assert _sent_to(_never, scheme="https:").error == "no answer within 0.5 s"


@pytest.mark.attack
def test_headers_without_end_are_not_read_to_their_end() -> None:
    error = _sent_to(_heads_without_end).error
    assert error is not None
    assert error.startswith("RemoteProtocolError")


@pytest.mark.attack
def test_of_a_body_without_end_nothing_is_read() -> None:
    assert _sent_to(_body_without_end) == Outcome(status=200)


@pytest.mark.attack
def test_a_name_that_is_long_in_resolving_is_left_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr("service.webhooks.addresses.socket.getaddrinfo", lambda *_, **__: over.wait(20) and [])
    outcome = send("https://receiver.example/", {}, b"{}", (), 0.2)
    assert not over.is_set()
    over.set()
    assert outcome.error == "no answer within 0.2 s"


@pytest.mark.attack
def test_no_proxy_of_the_environment_is_asked(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    assert send(receiver.url, {}, b'{"run_id": null}', LOOPBACK, 5.0).status == 204


@pytest.mark.attack
def test_a_name_is_looked_up_once_and_what_was_judged_is_connected_to(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name server that responds differently the second time would lead into the service's own network."""
    asked: list[str] = []

    def rebinding(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        asked.append(host)
        address = "127.0.0.1" if len(asked) == 1 else "127.0.0.2"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr("service.webhooks.addresses.socket.getaddrinfo", _only_for("receiver.test", rebinding))
    url = receiver.url.replace("127.0.0.1", "receiver.test")
    assert send(url, {}, b'{"run_id": null}', LOOPBACK, 5.0).status == 204
    assert asked == ["receiver.test"]
    headers, _ = receiver.received[0]
    assert headers["Host"] == url.split("/")[2]


def _only_for(name: str, answer: Callable[..., object]) -> Callable[..., object]:
    """A getaddrinfo that is fake for one name, and real for all others."""
    real = socket.getaddrinfo

    def getaddrinfo(host: str, *arguments: object, **named: object) -> object:
        return answer(host, *arguments, **named) if host == name else real(host, *arguments, **named)  # type: ignore[arg-type]

    return getaddrinfo


def _at_loopback(_host: str, port: int, **_: object) -> list[tuple[object, ...]]:
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]


@pytest.mark.parametrize("certified", ["receiver.test", pytest.param("other.test", marks=pytest.mark.attack)])
def test_the_certificate_is_checked_for_the_urls_name_and_not_for_the_address(
    certified: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = self_signed(tmp_path, certified)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setattr("service.webhooks.addresses.socket.getaddrinfo", _only_for("receiver.test", _at_loopback))
    with serving(certificate=certificate) as server:
        url = server.receiver.url.replace("127.0.0.1", "receiver.test")
        outcome = send(url, {}, b'{"run_id": null}', LOOPBACK, 5.0)
        if certified == "receiver.test":
            assert (outcome.status, outcome.error) == (204, None)
        else:
            assert outcome.error is not None
            assert "Hostname mismatch" in outcome.error
            assert server.receiver.received == []


@pytest.fixture
def tls_receiver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """A receiver whose certificate senders trust."""
    certificate = self_signed(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with serving(certificate=certificate) as server:
        yield server.receiver


def test_events_are_sent_over_tls(tls_receiver: Receiver) -> None:
    outcome = send(tls_receiver.url, {}, b'{"run_id": null}', LOOPBACK, 5.0)
    assert (outcome.status, outcome.error) == (204, None)
    assert tls_receiver.url.startswith("https://")
    assert len(tls_receiver.received) == 1


def test_a_receiver_that_dribbles_its_answer_over_tls_is_left_in_time(tls_receiver: Receiver) -> None:
    tls_receiver.dawdle = threading.Event()
    relief = threading.Timer(20.0, tls_receiver.dawdle.set)  # otherwise a sender that hangs would hang the test
    relief.start()
    outcome = send(tls_receiver.url, {}, b'{"run_id": null}', LOOPBACK, 0.5)
    relief.cancel()
    assert not tls_receiver.dawdle.is_set(), "it was held until the receiver had enough"
    tls_receiver.dawdle.set()
    assert outcome.error == "no answer within 0.5 s"


@pytest.mark.attack
def test_a_certificate_that_nobody_vouches_for_is_refused(
    tls_receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    outcome = send(tls_receiver.url, {}, b'{"run_id": null}', LOOPBACK, 5.0)
    assert outcome.error is not None
    assert "CERTIFICATE_VERIFY_FAILED" in outcome.error
    assert tls_receiver.received == []


def test_the_next_address_is_tried_where_the_first_takes_no_connection(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.webhooks.sender.checked_addresses", lambda *_: ["127.0.0.2", "127.0.0.1"])
    assert send(receiver.url, {}, b'{"run_id": null}', LOOPBACK, 5.0).status == 204


@pytest.mark.attack
def test_nothing_is_sent_to_a_private_address_whatever_was_registered(receiver: Receiver) -> None:
    """By now a name may resolve differently, and the setting may have changed."""
    outcome = send(receiver.url, {}, b'{"run_id": null}', (), 5.0)
    assert outcome.error is not None
    assert outcome.error.startswith("not sent: 127.0.0.1 is at 127.0.0.1, which is not a public address")
    assert receiver.received == []
