"""Figures that the stages work by and the bill computes with: each stands here once."""

SHARDS_OPEN = 128
"""Training shards open at a time over all lanes of a stream, so that one worker can take up what several began."""
LEAST_WINDOW, LARGEST_WINDOW = 4, 16
"""Limits of the shards that one lane has open at a time."""
SPARE_SHARDS = 4
"""A lane keeps a few more shards than are open: one just finished must not push out one that is still needed."""
TRAINING_CHECKPOINTS_KEPT = 2
"""The last so many checkpoints of a training stay while it goes on."""
CALIBRATION_SAMPLE = 10_000
"""Validation images at most that a teacher's temperature is fitted on."""
ROWS_WORTH_A_PROCESS = 2_000_000
"""Selection uses another core for each so many rows: below it, starting Python takes longer than the work."""
MOST_SELECTION_PROCESSES = 4
"""Each takes more than 100 MiB, and all of selection is to stay within a GiB on a machine of any size."""
TRAINING_SHARDS_A_RUN = 4
"""A sorted run of the shuffle has the rows of so many training shards. A run is held in memory; the larger it is, the
fewer pieces a training shard is gathered from."""


def window_of(lanes: int) -> int:
    """Returns how many shards each of `lanes` lanes has open at a time: shuffling is within so many."""
    return min(LARGEST_WINDOW, max(LEAST_WINDOW, SHARDS_OPEN // lanes))
