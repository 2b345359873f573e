"""Computes the demand of selection: the decision in the job's driver, and training shards if the run asks for them."""

import math
from dataclasses import dataclass, replace

from service.estimates.estimated_run import EstimatedRun
from service.estimates.stage_demand import StageDemand, job_overhead
from workers.specs.figures import ROWS_WORTH_A_PROCESS, TRAINING_SHARDS_A_RUN
from workers.specs.selection import Materialization, SelectionSettings

BYTES_OF_A_PASS = 8
"""The bytes of a label and a doubt. For each eight bytes of soft labels, a pass takes about as long as the measured
selection takes for a row. This was measured with lists of 10 and of 64 classes."""
BYTES_READ_A_ROW = 3 * BYTES_OF_A_PASS
"""The bytes that selection reads per row: label and doubt, in each of its passes."""
MOVES_AN_IMAGE = 4
"""Materializing reads an image from the pool, writes it to a run, reads it from there, and writes it to a shard."""


def selection_demand(run: EstimatedRun, generation: int) -> StageDemand:
    """Returns the demand of a select stage. It assumes that every row is selected, once."""
    measured, size = run.measured.select, run.pool(generation)
    assert measured is not None  # measured wherever there is an unlabeled dataset
    processes = max(1, min(measured.cores, size.rows // ROWS_WORTH_A_PROCESS))
    survey = _survey(run, generation)
    seconds = size.rows / 1e6 * measured.seconds_a_million_rows * (1 + survey.selections)
    seconds += size.shards * measured.seconds_a_shard * (1 + survey.passes / 3)
    written = size.rows * measured.bytes_a_row
    materialization = run.plans[generation].selection.materialize
    deciding = StageDemand(
        images=size.rows,
        processes=processes,
        devices=0.0,
        work_seconds=seconds / processes,
        overhead_seconds=job_overhead(run, joins_cluster=materialization is not None),
        bytes_read=size.rows * (BYTES_READ_A_ROW + survey.bytes_read_a_row),
        bytes_written=written + size.rows * survey.bytes_written_a_row,
        bytes_kept=written,
        speed_seconds=None,
        copies_at_most=_copies_at_most(run.plans[generation].selection, size.rows),
    )
    return deciding if materialization is None else _materialized(run, generation, materialization, deciding)


@dataclass(frozen=True)
class _Survey:
    """What the passes before the selection cost, if thresholds differ by class or labels are aligned."""

    passes: int
    selections: float
    """How many times as long as the measured selection they take."""
    bytes_read_a_row: float
    bytes_written_a_row: float


def _survey(run: EstimatedRun, generation: int) -> _Survey:
    """Returns the cost of one pass over labels and doubts for FlexMatch's thresholds, of one over soft labels for
    FreeMatch's, and of two over soft labels for alignment, which also writes labels and doubts for a while."""
    settings = run.plans[generation].selection
    is_aligned = settings.distribution_alignment != "none"
    if settings.thresholds == "fixed" and not is_aligned:
        return _Survey(0, 0.0, 0.0, 0.0)
    if settings.thresholds == "flexmatch" and not is_aligned:
        return _Survey(1, 1 / 3, BYTES_OF_A_PASS, 0.0)
    passes, label_bytes = 2 if is_aligned else 1, run.student(generation - 1).clean.label_bytes
    written = BYTES_OF_A_PASS if is_aligned else 0.0
    return _Survey(passes, passes * label_bytes / BYTES_OF_A_PASS, passes * label_bytes, written)


def _copies_at_most(settings: SelectionSettings, rows: int) -> int | None:
    """Returns the most images after repetition: each is repeated at most so often, if classes are filled up."""
    if not settings.fill_up:
        return rows
    return None if settings.max_copies_per_image is None else rows * settings.max_copies_per_image


def _materialized(
    run: EstimatedRun, generation: int, materialization: Materialization, deciding: StageDemand
) -> StageDemand:
    """Adds the two passes of the actor pool: into runs, which are deleted again, and from these into training shards.

    Writes are not measured; each is assumed to take as long as a read.
    """
    size, data, pool = run.pool(generation), run.measured.datasets["unlabeled"], run.measured.pool
    actors = run.actors_without_gpus(math.ceil(size.rows / (TRAINING_SHARDS_A_RUN * materialization.rows_per_shard)))
    devices = actors * run.shape.devices_of(run.config.resources.label.cpus_per_actor, 0.0)
    with_labels = size.rows * (data.bytes_an_image + run.student(generation - 1).clean.label_bytes)
    copy_seconds = MOVES_AN_IMAGE * size.rows * data.read_seconds_an_image / actors
    lost_seconds = copy_seconds * actors / max(1, size.rows) * materialization.rows_per_shard + pool.setup_seconds
    return replace(
        deciding,
        processes=max(deciding.processes, actors),
        devices=devices,
        work_seconds=deciding.work_seconds + run.interrupted(copy_seconds, devices / actors, lost_seconds),
        overhead_seconds=deciding.overhead_seconds + 2 * (pool.setup_seconds + pool.finish_seconds),
        bytes_read=deciding.bytes_read + 2 * with_labels,
        bytes_written=deciding.bytes_written + 2 * with_labels,
        bytes_kept=deciding.bytes_kept + with_labels,
    )
