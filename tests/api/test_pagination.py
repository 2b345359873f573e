"""Listings come in pages, newest first, connected by cursors."""

import base64

import pytest
from fastapi.testclient import TestClient

from tests.support.application import Register


def _walk(client: TestClient, path: str, limit: int) -> list[list[str | int]]:
    """The ids of each page."""
    pages, cursor = [], None
    while True:
        page = client.get(path, params={"limit": limit, **({"cursor": cursor} if cursor else {})}).json()
        pages.append([item.get("id", item.get("number")) for item in page["items"]])
        cursor = page["next_cursor"]
        if cursor is None:
            return pages


def test_pages_hold_every_dataset_once_and_the_newest_first(client: TestClient, register: Register) -> None:
    ids = [register(f"set-{index}", "labeled", 10 * index) for index in range(5)]
    assert _walk(client, "/datasets", 2) == [[ids[4], ids[3]], [ids[2], ids[1]], [ids[0]]]


def test_a_full_last_page_has_no_next(client: TestClient, register: Register) -> None:
    ids = [register(f"set-{index}", "labeled", 10 * index) for index in range(2)]
    assert _walk(client, "/datasets", 2) == [[ids[1], ids[0]]]


def test_a_run_s_own_listings_come_in_pages(client: TestClient, finished_run: str) -> None:
    assert _walk(client, f"/runs/{finished_run}/generations", 2) == [[2, 1], [0]]
    assert [len(page) for page in _walk(client, f"/runs/{finished_run}/stages", 4)] == [4, 4, 2]
    events = [event for page in _walk(client, f"/runs/{finished_run}/events", 7) for event in page]
    assert events == sorted(set(events), reverse=True)
    assert _walk(client, f"/runs/{finished_run}/generations/0/stages/train/attempts", 1) == [[1]]
    assert [len(page) for page in _walk(client, "/models", 2)] == [2, 1]


@pytest.mark.parametrize("limit", ["0", "101", "-1", "ten", "1.5"])
def test_a_limit_outside_1_to_100_is_refused(client: TestClient, limit: str) -> None:
    answer = client.get("/runs", params={"limit": limit})
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["limit"]


@pytest.mark.attack
@pytest.mark.parametrize(
    "cursor",
    [
        "nonsense",
        "%%%",
        base64.urlsafe_b64encode(b'["a", "b"]').decode(),
        base64.urlsafe_b64encode(b"[1]").decode(),
        base64.urlsafe_b64encode(b"{}").decode(),
        base64.urlsafe_b64encode(rb'[1.5, "\u0000"]').decode(),
        base64.urlsafe_b64encode(rb'[1.5, "\ud800"]').decode(),
        "a" * 600,
    ],
)
def test_a_foreign_cursor_is_refused(client: TestClient, cursor: str) -> None:
    answer = client.get("/runs", params={"cursor": cursor})
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["cursor"]


@pytest.mark.attack
def test_a_cursor_with_a_number_no_database_holds_is_refused(client: TestClient, finished_run: str) -> None:
    cursor = base64.urlsafe_b64encode(b"[9223372036854775808]").decode()
    answer = client.get(f"/runs/{finished_run}/events", params={"cursor": cursor})
    assert answer.status_code == 422
    assert "cursor" in answer.text
