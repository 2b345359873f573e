"""The machine that the goals are for: two cores, and no GPU, whatever else there is."""

import os

CORES = 2


def hold_to_two_cores() -> None:
    """This process and all that it starts from now on."""
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
