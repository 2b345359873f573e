"""Constants that both the stages and a plan's bill use."""

SHARDS_OPEN = 128
"""How many shards all lanes of a stream have open at a time: few enough for a single worker to continue all lanes."""
LEAST_WINDOW, LARGEST_WINDOW = 4, 16
"""The minimum and maximum number of shards that one lane has open at a time."""
SPARE_SHARDS = 4
"""A lane keeps this many shards more than it has open, so that a new one does not evict one that is still needed."""
TRAINING_CHECKPOINTS_KEPT = 2
"""How many checkpoints of a training are kept while it runs."""
CALIBRATION_SAMPLE = 10_000
"""The most validation images that a teacher's temperature is fitted on."""
ROWS_WORTH_A_PROCESS = 2_000_000
"""Selection uses one process per this many rows. For fewer rows, starting Python would take longer than it saves."""
MOST_SELECTION_PROCESSES = 4
"""The maximum number of selection processes. Each takes over 100 MiB, and together they must stay within 1 GiB."""
TRAINING_SHARDS_A_RUN = 4
"""The length of a sorted run of the shuffle, in training shards. A run is held in memory; longer runs mean fewer pieces
from which each training shard is gathered."""


def window_of(lanes: int) -> int:
    """How many shards each of `lanes` lanes has open at a time. Samples are shuffled within this window."""
    return min(LARGEST_WINDOW, max(LEAST_WINDOW, SHARDS_OPEN // lanes))
