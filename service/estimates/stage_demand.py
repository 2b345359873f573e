"""What a stage needs, before it is put into a line of the bill. Pure."""

from dataclasses import dataclass

from service.estimates.estimated_run import EstimatedRun


@dataclass(frozen=True)
class StageDemand:
    """Of one stage of one generation."""

    images: int
    processes: int
    devices: float
    work_seconds: float
    overhead_seconds: float
    bytes_read: float
    bytes_written: float
    bytes_kept: float
    speed_seconds: float | None
    """Of one image on one device."""


def job_overhead(run: EstimatedRun, joins_cluster: bool = True) -> float:
    """Seconds that its job takes whatever it does."""
    job, measured = run.job, run.measured
    joining = measured.connect_seconds if joins_cluster else 0.0
    return job.waiting_seconds + job.start_seconds + measured.driver_seconds + joining + job.finish_seconds
