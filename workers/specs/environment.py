"""The software that a stage ran with. Its result records it for lineage."""

from pydantic import Field

from workers.specs.base import Frozen


class CodeVersion(Frozen):
    """The version of this project's code that a stage ran."""

    version: str | None = Field(description="Version of the installed package; null if it is not installed.")
    git_commit: str | None = Field(description="Commit of the checkout that contains the code; null if there is none.")
    source_digest: str = Field(
        description="Hexadecimal blake2b over the names and bytes of all Python files of `workers`."
    )


class StageEnvironment(Frozen):
    """The software and the platform of the machine that ran the stage's driver."""

    python: str
    platform: str
    packages: dict[str, str] = Field(description="Versions of installed packages, by distribution name.")
    code: CodeVersion
