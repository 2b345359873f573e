"""What Ray stores with a job, for people who look at it in Ray's dashboard and for programs that list Ray's jobs."""

from service.config.stage_key import StageKey


def job_metadata(key: StageKey, attempt: int) -> dict[str, str]:
    """Returns the job's metadata. Ray accepts only strings; its dashboard shows `job_name` as the job's name."""
    return {
        "job_name": f"{key.run_id}/{key.generation}/{key.stage}",
        "run_id": key.run_id,
        "generation": str(key.generation),
        "stage": key.stage,
        "attempt": str(attempt),
    }
