"""The lease as one reconciler process sees it: claimed when it is free, renewed well before it ends."""

import logging
import os
import socket
import time
from collections.abc import Callable

from service.store.database import Database
from service.store.leases import DatabaseClock, LeaseLost, claim_lease, release_lease, renew_lease

logger = logging.getLogger("service.reconcile")

_GRANTED_SHARE = 0.8
"""Of `lease_seconds`: what is left is for the one that takes over to notice, so that it is at work within them."""


class ReconcilerLease:
    """Renewed by the loop itself, never by a thread beside it: one that hangs loses its place.

    When it ends is decided by the database's clock; `monotonic` (seconds) only says when to renew.
    """

    def __init__(
        self,
        database: Database,
        lease_seconds: float,
        clock: DatabaseClock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._seconds = lease_seconds * _GRANTED_SHARE
        self._clock = clock
        self._monotonic = monotonic
        self._holder = f"{socket.gethostname()}, process {os.getpid()}"
        self._token: int | None = None
        self._renewed_at = 0.0
        self._has_said_that_it_stands_by = False

    def hold(self) -> int | None:
        """The fencing token, after a claim or a renewal where one is due; None while another process holds it."""
        if self._token is None:
            return self._claim()
        try:
            self.hold_on()
        except LeaseLost:
            return self._claim()
        return self._token

    def hold_on(self) -> None:
        """In the middle of work: renews where that is due. Raises LeaseLost where another has taken over."""
        if self._token is None or self._monotonic() - self._renewed_at >= self._seconds / 3:
            self.renew()

    def renew(self) -> None:
        """Makes sure that the lease is still ours, and for the whole time; raises LeaseLost otherwise."""
        if self._token is None:
            raise LeaseLost("it was never ours")
        asked_at = self._monotonic()
        try:
            renew_lease(self._database, self._token, self._seconds, self._clock)
        except LeaseLost:
            self.forget()
            raise
        self._renewed_at = asked_at

    def forget(self) -> None:
        """Strikes a lease that another has taken."""
        if self._token is not None:
            logger.warning("another process has taken over")
        self._token = None

    def release(self) -> None:
        """Gives the lease back, if it is ours."""
        if self._token is None:
            return
        try:
            release_lease(self._database, self._token)
        except LeaseLost:
            logger.info("the lease had been taken over already")
        self._token = None

    def _claim(self) -> int | None:
        asked_at = self._monotonic()
        self._token = claim_lease(self._database, self._holder, self._seconds, self._clock)
        if self._token is not None:
            self._renewed_at = asked_at
            self._has_said_that_it_stands_by = False
            logger.info("this process reconciles from now on, with fencing token %d", self._token)
        elif not self._has_said_that_it_stands_by:
            self._has_said_that_it_stands_by = True
            logger.info("another process reconciles; standing by")
        return self._token
