"""Finds out who makes a request: by API key, OIDC token or session cookie, and holds back who asks too often."""

import time
from collections.abc import Callable

from service.access.api_keys import secret_fits, split_key
from service.access.key_commands import is_good, principal_of
from service.access.oidc import OidcTokens
from service.access.principal import LOCAL, Principal
from service.access.rate_limit import RateLimit
from service.access.watch import Watch
from service.access.web_sessions import WebSessions
from service.errors import Forbidden, TooManyRequests, Unauthenticated
from service.settings import Settings
from service.store.caller_tables import ApiKeyRow
from service.store.database import Database


class Gatekeeper:
    """Thread-safe. `clock` gives Unix seconds, `monotonic` seconds that never go back."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.sessions = WebSessions(database, settings.session_hours * 3600, clock)
        self._database = database
        self._required = settings.authentication
        self._oidc = None if settings.oidc is None else OidcTokens(settings.oidc, monotonic)
        self._limit = RateLimit(settings.requests_per_second, settings.request_burst)
        self._clock = clock
        self._monotonic = monotonic

    def identify(self, authorization: str | None, session_token: str | None, address: str) -> Principal:
        """The caller. Raises Unauthenticated, Forbidden (OIDC), TooManyRequests.

        Requests count for the caller; those with a bad credential for the address, which is then refused before any
        further one is looked at.
        """
        if not self._required:
            self._count(f"local {address}")
            return LOCAL
        self._refuse_a_guesser(address)
        try:
            principal = self._authenticate(authorization, session_token)
        except Unauthenticated:
            self._limit.take(_guesser(address), self._monotonic())
            raise
        self._count(principal.subject)
        return principal

    def watch(self, principal: Principal, authorization: str | None, session_token: str | None) -> Watch:
        """Tells whether the credential that `identify` has taken is still this caller's; counts for no limit."""

        def is_good() -> bool:
            try:
                return not self._required or self._authenticate(authorization, session_token) == principal
            except (Unauthenticated, Forbidden):
                return False

        return Watch(is_good, self._monotonic)

    def log_in(self, key: str, address: str) -> tuple[Principal, str]:
        """Opens a session for whoever has the key: who that is, and its token. Raises Unauthenticated,
        TooManyRequests."""
        self._refuse_a_guesser(address)
        try:
            principal = self._of_key(key)
        except Unauthenticated:
            self._limit.take(_guesser(address), self._monotonic())
            raise
        return principal, self.sessions.open(principal.subject)

    def _authenticate(self, authorization: str | None, session_token: str | None) -> Principal:
        if authorization is not None:
            scheme, _, credential = authorization.partition(" ")
            if scheme.lower() != "bearer" or not credential.strip():
                raise Unauthenticated("the header Authorization must be: Bearer, and an API key or a token")
            return self._of_bearer(credential.strip())
        if session_token is not None:
            principal = self.sessions.find(session_token)
            if principal is None:
                raise Unauthenticated("the session has ended; log in again")
            return principal
        raise Unauthenticated("a credential is needed: the header `Authorization: Bearer` and an API key or a token")

    def _of_bearer(self, credential: str) -> Principal:
        if self._oidc is None or split_key(credential) is not None:
            return self._of_key(credential)
        return self._oidc.authenticate(credential)

    def _of_key(self, text: str) -> Principal:
        refusal = Unauthenticated("the API key is unknown, expired or revoked")
        parts = split_key(text)
        if parts is None:
            raise refusal
        key_id, secret = parts
        with self._database.read_once() as session:
            row = session.get(ApiKeyRow, key_id)
            fits = secret_fits(secret, None if row is None else row.secret_hash)
            if row is None or not fits or not is_good(row, self._clock()):
                raise refusal
            return principal_of(row, "key")

    def _refuse_a_guesser(self, address: str) -> None:
        wait = self._limit.wait(_guesser(address), self._monotonic())
        if wait > 0:
            raise TooManyRequests(wait)

    def _count(self, caller: str) -> None:
        wait = self._limit.take(caller, self._monotonic())
        if wait > 0:
            raise TooManyRequests(wait)


def _guesser(address: str) -> str:
    return f"refused {address}"
