"""Figures that both the stages and the bill of a plan use. Each is defined here once."""

SHARDS_OPEN = 128
"""How many shards are open at a time over all lanes of a stream: few enough for one worker to go on with all lanes."""
LEAST_WINDOW, LARGEST_WINDOW = 4, 16
"""The least and the most shards that one lane has open at a time."""
SPARE_SHARDS = 4
"""A lane keeps a few more shards than are open, so that a new one does not push out one that is still needed."""
TRAINING_CHECKPOINTS_KEPT = 2
"""How many checkpoints of a training are kept while it goes on."""
CALIBRATION_SAMPLE = 10_000
"""The most validation images that a teacher's temperature is fitted on."""
ROWS_WORTH_A_PROCESS = 2_000_000
"""Selection uses one more core for each so many rows. For fewer rows, starting Python would take longer."""
MOST_SELECTION_PROCESSES = 4
"""The most processes of selection. Each takes over 100 MiB, and all together must stay within a GiB."""
TRAINING_SHARDS_A_RUN = 4
"""How many training shards' rows a sorted run of the shuffle has. A run is held in memory; the larger runs are, the
fewer pieces each training shard is gathered from."""


def window_of(lanes: int) -> int:
    """How many shards each of `lanes` lanes has open at a time. Samples are shuffled within these."""
    return min(LARGEST_WINDOW, max(LEAST_WINDOW, SHARDS_OPEN // lanes))
