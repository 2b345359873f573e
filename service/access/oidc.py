"""Checks an OpenID Connect provider's bearer tokens, and derives scope and projects from their claims.

The checks of signature, issuer, audience and times follow RFC 8725 (JSON Web Token Best Current Practices).
"""

from collections.abc import Callable, Mapping
from typing import Any

import jwt

from service.access.jwks import JwksCache
from service.access.principal import Principal
from service.config.access import OidcSettings, Scope
from service.errors import Forbidden, Unauthenticated
from workers.specs.text import unfit_character

MAX_TOKEN_LENGTH = 16_384
MAX_SUBJECT_LENGTH = 255
"""The maximum length of `sub` in OpenID Connect Core 1.0, section 2."""


class OidcTokens:
    """Authenticates callers by the provider's tokens. Thread-safe. `monotonic` returns seconds that never go back."""

    def __init__(self, settings: OidcSettings, monotonic: Callable[[], float]) -> None:
        self._settings = settings
        self._keys = JwksCache(settings, monotonic)

    def authenticate(self, token: str) -> Principal:
        """Returns the token's caller.

        Raises Unauthenticated for an invalid token, and Forbidden for one whose claims give no scope.
        """
        claims = self._verify(token)
        scopes = [
            self._settings.scopes[value]
            for value in _values(claims, self._settings.scope_claim)
            if value in self._settings.scopes
        ]
        if not scopes:
            raise Forbidden(f"no value of the token's claim {self._settings.scope_claim!r} gives a scope here")
        named = {
            self._settings.projects[value]
            for value in _values(claims, self._settings.project_claim)
            if value in self._settings.projects
        }
        return Principal(
            subject=f"oidc:{claims['sub']}",
            kind="oidc",
            scope=max(scopes, key=list(Scope).index),
            projects=None if "*" in named else frozenset(named),
        )

    def _verify(self, token: str) -> Mapping[str, Any]:
        if len(token) > MAX_TOKEN_LENGTH:
            raise Unauthenticated("the token is too long")
        try:
            header = jwt.get_unverified_header(token)
            # This comes before the search for a key, to refuse `none` and algorithms that use a shared secret.
            if header.get("alg") not in self._settings.algorithms:
                raise Unauthenticated("the token is signed by an algorithm that is not accepted")
            key = self._keys.find(header.get("kid"))
            if key is None:
                raise Unauthenticated("the token is signed by a key that the issuer does not publish")
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=list(self._settings.algorithms),
                issuer=self._settings.issuer,
                audience=self._settings.audience,
                leeway=self._settings.leeway_seconds,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.PyJWTError as error:
            raise Unauthenticated(f"the token is refused: {error}") from error
        # Scopes and projects come from the settings. Only this claim is stored as received, first in the audit log.
        if len(claims["sub"]) > MAX_SUBJECT_LENGTH or unfit_character(claims["sub"]) is not None:
            raise Unauthenticated("the token's sub is too long, or holds a character that cannot be stored or shown")
        return claims


def _values(claims: Mapping[str, Any], name: str) -> list[str]:
    """Returns a claim's values: the items of a list, or the words of a string such as OAuth's `scope`."""
    value = claims.get(name)
    if isinstance(value, str):
        return value.split()
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
