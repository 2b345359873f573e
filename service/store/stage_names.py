"""Stage names as they come out of a text column."""

from typing import get_args

from workers.specs.stages import StageName

_STAGE_NAMES: dict[str, StageName] = {name: name for name in get_args(StageName)}


def stage_name(text: str) -> StageName:
    """`text` as a stage name. Raises ValueError for anything else."""
    try:
        return _STAGE_NAMES[text]
    except KeyError:
        raise ValueError(f"there is no stage {text!r}") from None
