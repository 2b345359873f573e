"""Identifies callers by API key, OIDC token or session cookie, and limits the rate of their requests."""

import time
from collections.abc import Callable

from service.access.api_keys import split_key
from service.access.known_keys import KnownKeys
from service.access.oidc import OidcTokens
from service.access.principal import LOCAL, Principal
from service.access.rate_limit import RateLimit
from service.access.suspects import Suspects
from service.access.web.links import WebLinks
from service.access.web.sessions import WebSessions
from service.config.access import OidcSettings
from service.config.settings.groups import AccessSettings
from service.errors import Forbidden, TooManyRequests, Unauthenticated
from service.store.database import Database

LOOK_EVERY_SECONDS = 15.0


class Watch:
    """Checks again and again whether a caller's credential is still valid. It was valid when the watch was created.

    `monotonic` returns seconds that never go back.
    """

    def __init__(self, caller: str, is_good: Callable[[], bool], monotonic: Callable[[], float]) -> None:
        self.caller = caller
        self._is_good = is_good
        self._monotonic = monotonic
        self._looked_at = monotonic()

    @property
    def is_due(self) -> bool:
        """Whether the last look is LOOK_EVERY_SECONDS old. If so, call `look` before sending the caller any more."""
        return self._monotonic() - self._looked_at >= LOOK_EVERY_SECONDS

    def look(self) -> bool:
        """Returns whether the credential is still valid. Raises DatabaseUnavailable; the watch then stays due."""
        now = self._monotonic()
        good = self._is_good()
        self._looked_at = now
        return good


class Gatekeeper:
    """Identifies and limits callers. Thread-safe.

    `clock` returns Unix seconds; `monotonic` returns seconds that never go back.
    """

    def __init__(
        self,
        database: Database,
        access: AccessSettings,
        oidc: OidcSettings | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.sessions = WebSessions(database, access.session_hours * 3600, clock)
        self.links = WebLinks(database, clock)
        self._keys = KnownKeys(database, clock, monotonic)
        self._required = access.authentication
        self._oidc = None if oidc is None else OidcTokens(oidc, monotonic)
        self._limit = RateLimit(access.requests_per_second, access.request_burst)
        self._suspects = Suspects(self._limit, monotonic)
        self._monotonic = monotonic

    def recall(self, authorization: str | None, address: str) -> Principal | None:
        """Returns the caller if that takes no query, else None. Counts and raises as `identify` does."""
        if not self._required:
            self._count(f"local {address}")
            return LOCAL
        principal = None if authorization is None else self._keys.recall(_credential(authorization))
        if principal is not None:
            self._count(principal.subject)
        return principal

    def forget(self, key_id: str) -> None:
        """Makes this process refuse a revoked key from now on."""
        self._keys.forget(key_id)

    def identify(self, authorization: str | None, session_token: str | None, address: str) -> Principal:
        """Returns the caller that `recall` does not know. Raises Unauthenticated, Forbidden (OIDC), TooManyRequests.

        A request counts towards the caller's rate limit; one with a bad credential counts towards the address's.
        """
        with self._suspects.looking_at(f"{authorization} {session_token}", address):
            principal = self._authenticate(authorization, session_token)
        self._count(principal.subject)
        return principal

    def watch(self, principal: Principal, authorization: str | None, session_token: str | None) -> Watch:
        """Returns a watch on a credential that `identify` has accepted. Its looks count towards no rate limit."""

        def is_good() -> bool:
            try:
                return not self._required or self._authenticate(authorization, session_token) == principal
            except (Unauthenticated, Forbidden):
                return False

        return Watch(principal.subject, is_good, self._monotonic)

    def log_in(self, key: str, address: str) -> tuple[Principal, str]:
        """Opens a web session for a key. Returns the caller and the session's token.

        Raises Unauthenticated, TooManyRequests.
        """
        with self._suspects.looking_at(key, address):
            principal = self._keys.find(key)
        self._count(principal.subject)
        return principal, self.sessions.open(principal.subject)

    def enter(self, ticket: str, address: str) -> tuple[Principal, str]:
        """Opens a web session for the first user of a link's ticket. Returns the caller and the session's token.

        Raises Unauthenticated, TooManyRequests.
        """
        with self._suspects.looking_at(ticket, address):
            key_id = self.links.take(ticket)
            token = None if key_id is None else self.sessions.open(key_id)
            principal = None if token is None else self.sessions.find(token)
            if token is None or principal is None:
                raise Unauthenticated("this link has been used or has expired: `noisy-student link` makes another")
        return principal, token

    def _authenticate(self, authorization: str | None, session_token: str | None) -> Principal:
        if authorization is not None:
            credential = _credential(authorization)
            if not credential:
                raise Unauthenticated("the header Authorization must be: Bearer, and an API key or a token")
            return self._of_bearer(credential)
        if session_token is not None:
            principal = self.sessions.find(session_token)
            if principal is None:
                raise Unauthenticated("the session has ended; log in again")
            return principal
        raise Unauthenticated("a credential is needed: the header `Authorization: Bearer` and an API key or a token")

    def _of_bearer(self, credential: str) -> Principal:
        if self._oidc is None or split_key(credential) is not None:
            return self._keys.find(credential)
        return self._oidc.authenticate(credential)

    def _count(self, caller: str) -> None:
        wait = self._limit.take(caller, self._monotonic())
        if wait > 0:
            raise TooManyRequests(wait)


def _credential(authorization: str) -> str:
    """Returns what follows `Bearer` in the header, or "" for any other header."""
    scheme, _, credential = authorization.partition(" ")
    return credential.strip() if scheme.lower() == "bearer" else ""
