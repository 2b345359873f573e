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
    collect: bool = Field(description="Whether it goes the next time that retention looks.")
    reason: str = Field(description="Why it goes, or why it stays.")
    files: int | None = Field(description="How many would go; null for what stays.")
    bytes: int | None


class Marked(View):
    """The result of POST /retention/apply."""

    marked: int = Field(description="Artifacts marked: the reconciler's process deletes them within seconds.")
