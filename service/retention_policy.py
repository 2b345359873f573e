"""What a run keeps of its artifacts once they have served."""

from pydantic import Field

from workers.specs.frozen import Frozen


class RetentionPolicy(Frozen):
    """Models, results, metrics, logs and specs are never collected, whatever it says."""

    keep_last_checkpoints: int = Field(ge=0)
    """Training checkpoints of a finished train stage, beside the best one."""
    keep_label_generations: int = Field(ge=0)
    """The last so many generations' label files and selections."""
    min_age_seconds: float = Field(ge=0)
    """Nothing is collected before its generation has been over for so long."""


class RetentionOverrides(Frozen):
    """A run's own policy; null: the service's setting."""

    keep_last_checkpoints: int | None = Field(default=None, ge=0, le=1_000_000, description="Beside the best one.")
    keep_label_generations: int | None = Field(
        default=None, ge=0, le=1_000_000, description="How many generations' labels stay."
    )
    min_age_seconds: float | None = Field(default=None, ge=0, le=1e9, description="Since the end of the generation.")

    def over(self, policy: RetentionPolicy) -> RetentionPolicy:
        """`policy` with what is said here in its place."""
        return policy.model_copy(update=self.model_dump(exclude_none=True))
