"""One delivery to receivers that are real HTTP servers, with TLS and without, and not all of them well-behaved."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.webhooks.sender import send
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


@pytest.fixture
def tls_receiver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """A receiver with a certificate that senders trust."""
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
    relief = threading.Timer(20.0, tls_receiver.dawdle.set)  # else a sender that is held would hold the test
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
    """A name may resolve to something else by now, and the setting may have changed."""
    outcome = send(receiver.url, {}, b'{"run_id": null}', (), 5.0)
    assert outcome.error is not None
    assert outcome.error.startswith("not sent: 127.0.0.1 is at 127.0.0.1, which is not a public address")
    assert receiver.received == []
