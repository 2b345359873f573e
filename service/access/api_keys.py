"""API keys as text: `nsk_ID_SECRET`. The id finds the row; the secret proves the key."""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass

SECRET_BYTES = 32
_FORM = re.compile(r"nsk_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_NO_KEYS_HASH = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True)
class NewKey:
    """A newly created key. `text` is shown once and stored nowhere."""

    key_id: str
    text: str
    secret_hash: str


def new_key() -> NewKey:
    """Creates a key of 256 random bits."""
    prefix, secret = secrets.token_hex(6), secrets.token_urlsafe(SECRET_BYTES)
    return NewKey(f"key-{prefix}", f"nsk_{prefix}_{secret}", hash_secret(secret))


def split_key(text: str) -> tuple[str, str] | None:
    """Returns the id and the secret of a key, or None for any other text."""
    match = _FORM.fullmatch(text)
    return None if match is None else (f"key-{match[1]}", match[2])


def hash_secret(secret: str) -> str:
    """Returns the hash of a secret, for storage. A fast hash suffices: unlike a password, 256 random bits cannot be
    guessed."""
    return hashlib.sha256(secret.encode()).hexdigest()


def secret_fits(secret: str, stored_hash: str | None) -> bool:
    """Compares a secret with a stored hash in constant time. For an unknown id (None) it takes as long and is False."""
    fits = hmac.compare_digest(hash_secret(secret), stored_hash or _NO_KEYS_HASH)
    return fits and stored_hash is not None
