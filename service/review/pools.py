"""Tells which generations of a run label versions of one pool: only there, a shard has the same rows in both."""

from collections.abc import Mapping

from sqlalchemy.orm import Session

from service.config.run import GenerationPlan, RunConfig
from service.store.dataset_store import is_version_of
from service.store.paging import get_row
from service.store.run_store import load_config, load_plans
from service.store.schema.tables import DatasetRow


class PoolsOfRun:
    """The pools that a run's generations label."""

    def __init__(self, session: Session, run_id: str) -> None:
        """Raises NotFound for an unknown run, and Conflict if its configuration cannot be read."""
        self._session = session
        self._config: RunConfig = load_config(session, run_id)
        self._plans: Mapping[int, GenerationPlan] = load_plans(session, run_id)

    def of(self, generation: int) -> DatasetRow:
        """Returns the pool that this generation labels. Raises NotFound if it is no longer registered."""
        pool_id = self._plans[generation].unlabeled or self._config.datasets.unlabeled
        assert pool_id is not None, "a run that labels has a pool"
        return get_row(self._session, DatasetRow, pool_id, "dataset", pool_id)

    def can_be_compared(self, one: int, other: int) -> bool:
        """Whether the two generations label the same pool, or versions of it."""
        if not {one, other} <= self._plans.keys():
            return False
        pools = self.of(one), self.of(other)
        return is_version_of(*pools) or is_version_of(*reversed(pools))
