"""An identity provider for tests: a real HTTP server that publishes signing keys and signs tokens with them."""

import json
import threading
import time
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from service.config.access import OidcSettings

ISSUER, AUDIENCE = "https://id.example", "noisy-student"


class Provider:
    """An identity provider that publishes its signing keys, by id, over HTTP."""

    def __init__(self) -> None:
        self.private: dict[str, Any] = {}
        self.fetches = 0
        self.status = 200
        self.extra: list[dict[str, Any]] = []
        self.asked = threading.Event()
        self.dribble: threading.Event | None = None
        """If set, the server sends only a byte now and then until the event is set."""
        self.url = ""

    def add_rsa(self, key_id: str) -> None:
        self.private[key_id] = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def add_ec(self, key_id: str) -> None:
        self.private[key_id] = ec.generate_private_key(ec.SECP256R1())

    def document(self) -> str:
        keys = list(self.extra)
        for key_id, private in self.private.items():
            kind = jwt.algorithms.RSAAlgorithm if isinstance(private, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
            keys.append({**kind.to_jwk(private.public_key(), as_dict=True), "kid": key_id, "use": "sig"})
        return json.dumps({"keys": keys})

    def token(self, key_id: str | None, headers: dict[str, Any] | None = None, **claims: Any) -> str:
        private = self.private[key_id or next(iter(self.private))]
        algorithm = "RS256" if isinstance(private, rsa.RSAPrivateKey) else "ES256"
        named = {} if key_id is None else {"kid": key_id}
        return jwt.encode(self.claims(**claims), private, algorithm, headers={**named, **(headers or {})})

    def claims(self, **changes: Any) -> dict[str, Any]:
        now = int(time.time())
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "iat": now, "exp": now + 300, "roles": ["ml-ops"]}
        return {name: value for name, value in {**claims, **changes}.items() if value is not None}


def settings_for(provider: Provider, **changes: Any) -> OidcSettings:
    return OidcSettings(
        **{
            "issuer": ISSUER,
            "audience": AUDIENCE,
            "jwks_url": provider.url,
            "scopes": {"ml-ops": "operator", "ml-admins": "admin"},
            "projects": {"team-pets": "pets", "everything": "*"},
            **changes,
        }
    )
