"""Which undocumented parts of torch, timm and Ray this process may use: all, unless the environment says otherwise."""

import logging
import os
from collections.abc import Mapping
from functools import cache

from workers.specs.internals import LibraryInternals

INTERNALS_VARIABLE = "NOISY_STUDENT_STAGE_INTERNALS"

logger = logging.getLogger(__name__)


def internals_environment(internals: LibraryInternals) -> Mapping[str, str]:
    """What every process of a stage must have in its environment; nothing where all are used."""
    return {} if internals == LibraryInternals() else {INTERNALS_VARIABLE: internals.model_dump_json()}


def library_internals() -> LibraryInternals:
    """Those that this process may use."""
    return LibraryInternals.model_validate_json(os.environ.get(INTERNALS_VARIABLE, "{}"))


@cache
def warn_of_missing(part: str, error: str) -> None:
    """Says once in a process that the installed release has no such part, so that the documented way is gone."""
    logger.warning("%s is not as it was, going the documented, slower way: %s", part, error)
