"""/healthz and /readyz: whether the process is alive, and whether it has what it needs."""

import logging

from fastapi import APIRouter, Response

from api.dependencies import Jobs, Queries
from api.examples.answers import NOT_READY, READY, answers
from service.errors import RayUnavailable
from service.ray_client.jobs import RayJobs
from service.runs.queries import RunQueries
from service.views.health import Health, Readiness, ReadinessCheck

router = APIRouter(tags=["health"])
log = logging.getLogger(__name__)


@router.get("/healthz", summary="Is the process alive?", responses=answers(200, Health(), "It is"))
async def healthz() -> Health:
    """Answers as long as the process is alive; checks nothing else."""
    return Health()


@router.get(
    "/readyz",
    summary="Is the service ready?",
    responses=answers(200, READY, "Ready") | answers(503, NOT_READY, "Not ready"),
)
def readyz(response: Response, queries: Queries, jobs: Jobs) -> Readiness:
    """Checks the database and Ray's jobs API. Returns 503 if either does not answer, or if Ray answers without a token:
    its API runs whatever it receives, and all users of the machine can reach even loopback."""
    checks = [_check_database(queries), _check_ray(jobs)]
    ready = all(check.ready for check in checks)
    response.status_code = 200 if ready else 503
    return Readiness(ready=ready, checks=checks)


def _check_database(queries: RunQueries) -> ReadinessCheck:
    try:
        queries.check_database()
    except Exception as error:  # whatever the driver raises, the service is not ready
        log.warning("the database does not answer: %s", error)
        return ReadinessCheck(name="database", ready=False, detail=f"does not answer: {type(error).__name__}")
    return ReadinessCheck(name="database", ready=True, detail="answers")


def _check_ray(jobs: RayJobs) -> ReadinessCheck:
    try:
        if jobs.answers_without_token():
            return ReadinessCheck(name="ray", ready=False, detail="answers without a token: set RAY_AUTH_MODE=token")
        return ReadinessCheck(name="ray", ready=True, detail=f"Ray {jobs.version()}")
    except RayUnavailable as error:
        return ReadinessCheck(name="ray", ready=False, detail=str(error))
