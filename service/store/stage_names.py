"""Stage names as they come out of a text column."""

from pydantic import TypeAdapter

from workers.specs.stages import StageName

_STAGE_NAME: TypeAdapter[StageName] = TypeAdapter(StageName)


def stage_name(text: str) -> StageName:
    """`text` as a stage name. Raises ValueError for anything else."""
    return _STAGE_NAME.validate_python(text)
