"""The rules of the runs that are looked after, read once: a run's configuration never changes."""

from collections.abc import Collection

from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from service.lifecycle.run_rules import RunRules, rules_of
from service.store.tables import RunRow

_READ_AT_ONCE = 1_000
"""Databases take some ten thousand parameters a query."""


class KnownRules:
    """For one database, and one thread. A thousand runs' configurations are megabytes, at every look."""

    def __init__(self) -> None:
        self._rules: dict[str, RunRules] = {}
        self.refused: dict[str, str] = {}
        """Why runs of the last look have no rules: their configurations were written by another version."""

    def of(self, session: Session, run_ids: Collection[str], ending: Collection[str] = ()) -> dict[str, RunRules]:
        """By run id. Runs that are not there are left out, and those that are `refused`.

        A run that is `ending` does nothing more that its configuration has a say in: the defaults do for one that
        cannot be read.
        """
        self.refused = {}
        unknown = sorted(set(run_ids) - self._rules.keys())
        for first in range(0, len(unknown), _READ_AT_ONCE):
            some = RunRow.id.in_(unknown[first : first + _READ_AT_ONCE])
            for run_id, config in session.execute(select(RunRow.id, RunRow.config).where(some)):
                try:
                    self._rules[run_id] = rules_of(config)
                except ValidationError as error:
                    if run_id in ending:
                        self._rules[run_id] = RunRules()
                        continue
                    self.refused[run_id] = f"this version of the service cannot read its configuration: {error}"
        return {run_id: self._rules[run_id] for run_id in run_ids if run_id in self._rules}

    def forget_all_but(self, run_ids: Collection[str]) -> None:
        """Strikes runs that are over."""
        for run_id in self._rules.keys() - set(run_ids):
            del self._rules[run_id]
