"""The API's answers about retention."""

from pydantic import Field

from service.config.policies import Artifact
from service.views.base import View
from workers.specs.stages import StageName


class PreviewedArtifact(View):
    """An artifact that retention has not marked, and what it would do with it."""

    run_id: str
    generation: int
    stage: StageName
    artifact: Artifact
    collect: bool = Field(description="Whether the next pass of retention would delete it.")
    reason: str = Field(description="Why it would be deleted or kept.")
    files: int | None = Field(description="How many files would be deleted; null if the artifact is kept.")
    bytes: int | None


class Marked(View):
    """The result of POST /retention/apply."""

    marked: int = Field(description="Number of marked artifacts; the reconciler's process deletes them within seconds.")
