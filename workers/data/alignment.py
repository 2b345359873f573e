"""Distribution alignment: by what each class's probability is multiplied. Selection writes it, training reads it."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field, ValidationError

from workers.artifact_io import join_uri, read_bytes_if_there, write_bytes
from workers.data.errors import ShardReadError
from workers.specs.base import Frozen

_FILE = "alignment.json"
_LEAST_SHARE = 1e-6
"""Added to each share, as in the authors' code (google-research/remixmatch): no ratio is zero or infinite."""


class Alignment(Frozen):
    """The content of alignment.json in a select folder."""

    ratios: tuple[Annotated[float, Field(gt=0, allow_inf_nan=False)], ...]
    """By class."""


def alignment_ratios(target: npt.NDArray[np.float64], predicted: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """What the probability of each class is multiplied by, (classes,), before rows are normalised again.

    `target` and `predicted` are (classes,), distributions over classes: that which is wanted, and the mean of the
    teacher's predictions (Berthelot et al. 2020, "ReMixMatch", section 3.1).
    """
    ratios: npt.NDArray[np.float32] = ((target + _LEAST_SHARE) / (predicted + _LEAST_SHARE)).astype(np.float32)
    return ratios


def write_alignment(selection_uri: str, ratios: npt.NDArray[np.float32]) -> None:
    """Writes what the soft labels of a selection are multiplied by."""
    write_bytes(join_uri(selection_uri, _FILE), Alignment(ratios=tuple(ratios.tolist())).model_dump_json().encode())


def read_alignment(selection_uri: str, classes: int) -> npt.NDArray[np.float32]:
    """What the soft labels of a selection are multiplied by, (classes,): ones if they are not aligned.

    Raises ShardReadError for a damaged file, and for one of another number of classes.
    """
    uri = join_uri(selection_uri, _FILE)
    data = read_bytes_if_there(uri)
    if data is None:
        return np.ones(classes, dtype=np.float32)
    try:
        ratios: Sequence[float] = Alignment.model_validate_json(data).ratios
    except ValidationError as error:
        raise ShardReadError(uri, f"not an alignment of classes: {error}") from error
    if len(ratios) != classes:
        raise ShardReadError(uri, f"aligns {len(ratios)} classes, not {classes}")
    return np.array(ratios, dtype=np.float32)
