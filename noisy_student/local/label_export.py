"""Exports pseudo labels with their pictures on this machine, which reads the pool and the artifact root itself."""

from collections.abc import Callable
from pathlib import Path

from noisy_student.errors import ApiError
from workers.data.errors import ShardReadError
from workers.exporting.pools.export import ExportRequest, LabelExportFailed, export_pool
from workers.specs.label_export import LabelFilter, LabelSource, PictureFormat


def export_labels_here(
    kind: PictureFormat,
    source: LabelSource,
    wanted: LabelFilter,
    limit_per_class: int | None,
    folder: Path,
    tell: Callable[[int, int], None],
) -> int:
    """Writes the export into the folder, and returns its number of images. `tell` is told how many of the pool's shards
    are done, and how many there are. Raises ApiError if something cannot be read or written."""
    request = ExportRequest(format=kind, source=source, wanted=wanted, limit_per_class=limit_per_class)
    try:
        return export_pool(request, folder, tell).images
    except (LabelExportFailed, ShardReadError) as error:
        raise ApiError(str(error)) from error
    except FileNotFoundError as error:
        raise ApiError(
            f"{error.filename or error}: this machine does not see the pool or the artifact root; run the command "
            "where the cluster's nodes do"
        ) from error
    except OSError as error:
        raise ApiError(f"{folder}: {error}") from error
