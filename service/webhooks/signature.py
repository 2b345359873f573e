"""Signs deliveries as Standard Webhooks specifies, so that receivers can verify them with one of its libraries.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import secrets
from datetime import UTC, datetime

from standardwebhooks import Webhook

_PREFIX = "whsec_"
_KEY_BYTES = 32


def new_secret() -> str:
    """Returns a random key in the form that receivers get: `whsec_` and 32 bytes in base64."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()


def signed_headers(secret: str, delivery_id: str, body: str, now: float) -> dict[str, str]:
    """Returns the headers of one attempt at a delivery at `now`, in Unix seconds.

    Version 0.1.0 created secrets without `whsec_`, whose characters themselves are the key. They keep working.
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
