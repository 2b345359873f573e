"""RFC 9457 problem documents, the form of every error."""

from pydantic import BaseModel, ConfigDict, Field

PROBLEM_MEDIA_TYPE = "application/problem+json"


class FieldError(BaseModel):
    """One error in a request."""

    model_config = ConfigDict(frozen=True)

    field: str = Field(description="Dotted path into the body, or the parameter's name; empty for the whole body.")
    message: str


class Problem(BaseModel):
    """What went wrong, for people and for programs (RFC 9457)."""

    model_config = ConfigDict(frozen=True)

    type: str = Field(description="The kind of problem; the same for all occurrences.")
    title: str
    status: int
    detail: str = Field(description="What went wrong this time.")
    instance: str = Field(description="The requested path.")
    errors: list[FieldError] = []


def problem_type(slug: str) -> str:
    """Returns the URN that names a kind of problem."""
    return f"urn:problem-type:noisy-student:{slug}"
