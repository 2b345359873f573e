"""The software that a stage ran with. Its result records it for lineage."""

from pydantic import Field

from workers.specs.base import Frozen


class CodeVersion(Frozen):
    """Which code of this project a stage ran."""

    version: str | None = Field(description="Of the installed package; null where it is not installed.")
    git_commit: str | None = Field(description="Of the checkout that the code lies in; null where there is none.")
    source_digest: str = Field(description="blake2b of the names and bytes of all Python files of `workers`, in hex.")


class StageEnvironment(Frozen):
    """Software and platform of the machine that the stage's driver ran on."""

    python: str
    platform: str
    packages: dict[str, str] = Field(description="Versions by distribution name, of those that are installed.")
    code: CodeVersion
