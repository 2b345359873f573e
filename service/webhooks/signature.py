"""Signs deliveries as Standard Webhooks specifies, so that receivers verify them with one of its libraries.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import secrets
from datetime import UTC, datetime

from standardwebhooks import Webhook

_PREFIX = "whsec_"
_KEY_BYTES = 32


def new_secret() -> str:
    """A random key as receivers are shown it: `whsec_` and 32 bytes in base64."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()


def signed_headers(secret: str, delivery_id: str, body: str, now: float) -> dict[str, str]:
    """The headers of one attempt at a delivery, made at `now` (Unix seconds).

    A secret without `whsec_` was made by version 0.1.0, whose key was its very characters; it signs with that key on.
    """
    webhook = Webhook(secret if secret.startswith(_PREFIX) else secret.encode())
    at = datetime.fromtimestamp(int(now), UTC)
    return {
        "Content-Type": "application/json",
        "User-Agent": "noisy-student",
        "webhook-id": delivery_id,
        "webhook-timestamp": str(int(now)),
        "webhook-signature": webhook.sign(delivery_id, at, body),
    }
