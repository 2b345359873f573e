"""Which rows a listing returns."""

import hashlib
from datetime import UTC, datetime

from service.config.names import ProjectName
from service.lifecycle.states import RunState
from workers.specs.base import Frozen

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ListFilter(Frozen):
    """The conditions that each row of a listing meets. What is not set is no condition."""

    states: frozenset[RunState] = frozenset()
    """Any of these states."""
    project: ProjectName | None = None
    since: datetime | None = None
    """Created at that time or later; in UTC if it has no time zone."""

    @property
    def since_seconds(self) -> float | None:
        """`since` in Unix seconds."""
        if self.since is None:
            return None
        aware = self.since if self.since.tzinfo else self.since.replace(tzinfo=UTC)
        return (aware - _EPOCH).total_seconds()

    @property
    def digest(self) -> str:
        """A short name of the conditions, which binds a cursor to them; empty if there are none."""
        conditions = [sorted(self.states), self.project, self.since_seconds]
        if conditions == [[], None, None]:
            return ""
        return hashlib.blake2b(repr(conditions).encode(), digest_size=6).hexdigest()


EVERYTHING = ListFilter()
