"""/projects and /queue: project quotas, and the stages that wait for the cluster."""

from typing import Annotated

from fastapi import APIRouter, Body, Path

from api.dependencies import Cursor, Limit, ProjectsOf
from api.examples.answers import answers, page_of
from api.examples.queue import PROJECT, QUEUE, QUOTAS
from api.schemas.json_body import strict_json
from api.schemas.problem import problem_responses
from service.config.policies import Quota
from service.views.base import Page
from service.views.queue import ProjectView, QueueView

router = APIRouter(tags=["projects"])
ProjectName = Annotated[
    str,
    Path(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100, description="The project's name.", examples=["vision"]
    ),
]


@router.get(
    "/projects", summary="List projects", responses=answers(200, page_of(PROJECT), "One page") | problem_responses(422)
)
def list_projects(projects: ProjectsOf, limit: Limit = 50, cursor: Cursor = None) -> Page[ProjectView]:
    """Lists projects in reverse order of name, with their quotas and spent device hours."""
    return projects.list_projects(limit, cursor)


@router.get(
    "/projects/{name}",
    summary="Show a project",
    responses=answers(200, PROJECT, "The project") | problem_responses(404, 422),
)
def get_project(name: ProjectName, projects: ProjectsOf) -> ProjectView:
    """Returns a project's quota and spent device hours, including those of running attempts."""
    return projects.get_project(name)


@router.put(
    "/projects/{name}/quota",
    summary="Set a project's quota",
    responses=answers(200, PROJECT, "As it is now") | problem_responses(400, 404, 409, 415, 422),
)
def set_quota(
    name: ProjectName,
    quota: Annotated[Quota, strict_json(Quota), Body(openapi_examples=QUOTAS)],
    projects: ProjectsOf,
) -> ProjectView:
    """Sets the quota; running stages continue. New stages of a project with an exhausted quota wait, and block no other
    project. Creates the project if it does not exist. Requires a caller of all projects."""
    return projects.set_quota(name, quota)


@router.get("/queue", summary="Show the queue", responses=answers(200, QUEUE, "The queue") | problem_responses(422))
def get_queue(projects: ProjectsOf, limit: Limit = 50) -> QueueView:
    """Lists the waiting stages in the order in which they will start: by the time they became ready, moved one hour
    earlier for each step of their run's priority."""
    return projects.queue(limit)
