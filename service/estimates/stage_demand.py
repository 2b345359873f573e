"""The demand of a stage, from which a line of the bill is written. No I/O."""

from dataclasses import dataclass

from service.estimates.estimated_run import EstimatedRun


@dataclass(frozen=True)
class StageDemand:
    """What one stage of one generation needs: processes, devices, seconds and bytes."""

    images: int
    processes: int
    devices: float
    work_seconds: float
    overhead_seconds: float
    bytes_read: float
    bytes_written: float
    bytes_kept: float
    speed_seconds: float | None
    """The seconds that one image takes on one device; None if the stage computes on no device."""
    copies_at_most: int | None = None
    """The most images after repetition, of a select stage; None if nothing limits them."""
    views: int | None = None
    """The views of each image, of a label stage."""
    teachers: int | None = None
    """The models that label each image, of a label stage."""


def job_overhead(run: EstimatedRun, joins_cluster: bool = True) -> float:
    """Returns the fixed seconds of a stage's job: waiting, start, driver, joining the cluster, and finish."""
    job, measured = run.job, run.measured
    joining = measured.connect_seconds if joins_cluster else 0.0
    return job.waiting_seconds + job.start_seconds + measured.driver_seconds + joining + job.finish_seconds
