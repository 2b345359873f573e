"""Adds up what the files of a prediction say."""

from workers.prediction.part_files import PredictionSummary, added
from workers.specs.prediction import PredictionOutcome


class PredictionTotals:
    """Sums over the predicted shards. Only sums are kept: a dataset may have a million shards."""

    def __init__(self) -> None:
        self.summary = added([])

    def add(self, summary: PredictionSummary) -> None:
        """Adds one shard."""
        first = self.summary.rows == 0 and self.summary.truth is None
        self.summary = summary if first else added([self.summary, summary])

    def add_payload(self, payload: bytes) -> int:
        """Adds one shard's summary as JSON, and returns the images so far."""
        self.add(PredictionSummary.model_validate_json(payload))
        return self.summary.rows


def outcome_of(summary: PredictionSummary, shards: int, resumed: int, images_per_second: float) -> PredictionOutcome:
    """The outcome of a prediction whose shards have this summary together."""
    predicted = summary.rows - summary.bad
    return PredictionOutcome(
        images=summary.rows,
        predicted=predicted,
        bad_images=summary.bad,
        bad_by_kind=summary.bad_by_kind,
        shards=shards,
        shards_resumed=resumed,
        mean_confidence=summary.confidence_sum / max(1, predicted),
        images_per_second=images_per_second,
        truth=summary.truth,
    )
