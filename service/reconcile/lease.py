"""The leases that one reconciler holds, renewed well before they end."""

import uuid
from collections.abc import Callable

from service.store.database import Database
from service.store.leases import LeaseLost, claim_lease, release_lease, renew_lease


class LeaseBook:
    """`clock` gives Unix seconds; the clocks of several reconcilers agree to well within `lease_seconds`."""

    def __init__(self, database: Database, lease_seconds: float, clock: Callable[[], float]) -> None:
        self._database = database
        self._lease_seconds = lease_seconds
        self._clock = clock
        self._token = uuid.uuid4().hex
        self._expiry: dict[str, float] = {}

    def hold(self, run_id: str) -> str | None:
        """The token of the run's lease, claimed or renewed as need be; None while another holds it."""
        if run_id not in self._expiry:
            return self._claim(run_id)
        if self._expiry[run_id] - self._clock() > self._lease_seconds / 2:
            return self._token
        try:
            self.renew(run_id)
        except LeaseLost:
            return self._claim(run_id)
        return self._token

    def renew(self, run_id: str) -> None:
        """Makes sure that the lease is still ours, and for the whole time; raises LeaseLost otherwise."""
        expires_at = self._clock() + self._lease_seconds
        try:
            renew_lease(self._database, run_id, self._token, expires_at)
        except LeaseLost:
            self.forget(run_id)
            raise
        self._expiry[run_id] = expires_at

    def forget(self, run_id: str) -> None:
        """Strikes a lease that is gone."""
        self._expiry.pop(run_id, None)

    def release_all(self) -> None:
        """Gives all leases back, so that the next reconciler need not wait for them to expire."""
        for run_id in list(self._expiry):
            release_lease(self._database, run_id, self._token)
            self.forget(run_id)

    def _claim(self, run_id: str) -> str | None:
        now = self._clock()
        expires_at = now + self._lease_seconds
        if not claim_lease(self._database, run_id, self._token, now, expires_at):
            self.forget(run_id)
            return None
        self._expiry[run_id] = expires_at
        return self._token
