"""Stored secrets are sealed with the first key of a file, and can be opened with any of its keys."""

import threading
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from service.errors import SecretsUnavailable
from service.webhooks.secret_box import SecretBox, UnreadableSecret

pytestmark = pytest.mark.attack


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return tmp_path / "home" / "secret.keys"


def test_a_sealed_secret_does_not_hold_it_and_is_opened_by_another_process(keys: Path) -> None:
    sealed = SecretBox(keys).seal("open sesame")
    assert "sesame" not in sealed
    assert SecretBox(keys).open(sealed) == "open sesame"


def test_a_missing_file_is_made_for_its_owner_alone(keys: Path) -> None:
    SecretBox(keys).seal("x")
    assert keys.stat().st_mode & 0o777 == 0o600
    assert keys.parent.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in keys.parent.iterdir()] == [keys.name]


def test_of_many_who_make_the_file_at_once_all_use_the_same_key(keys: Path) -> None:
    sealed: list[str] = []
    start = threading.Barrier(8)

    def seal() -> None:
        box = SecretBox(keys)
        start.wait(timeout=10)
        sealed.append(box.seal("x"))

    threads = [threading.Thread(target=seal) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=10)
    assert [SecretBox(keys).open(each) for each in sealed] == ["x"] * 8


def test_a_new_key_before_the_old_one_opens_both_and_seals_with_the_new(keys: Path) -> None:
    old = SecretBox(keys).seal("x")
    keys.write_bytes(Fernet.generate_key() + b"\n" + keys.read_bytes())
    box = SecretBox(keys)
    assert box.open(old) == "x"
    assert not box.is_fresh(old)
    assert box.is_fresh(box.seal("x"))


def test_without_its_key_a_secret_stays_shut(keys: Path) -> None:
    sealed = SecretBox(keys).seal("x")
    keys.unlink()
    with pytest.raises(UnreadableSecret, match=r"secret\.keys"):
        SecretBox(keys).open(sealed)


@pytest.mark.parametrize("content", ["", "no key\n", "QUJD\n"])
def test_a_file_without_good_keys_is_named_and_not_quoted(keys: Path, content: str) -> None:
    keys.parent.mkdir()
    keys.write_text(content)
    with pytest.raises(SecretsUnavailable, match=r"secret\.keys") as refusal:
        SecretBox(keys).seal("x")
    assert "QUJD" not in str(refusal.value)
