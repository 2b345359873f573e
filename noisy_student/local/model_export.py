"""Exports a pulled model on this machine, which needs torch, but neither a GPU nor the service."""

from pathlib import Path

from noisy_student.errors import ApiError
from workers.exporting.export import ExportFailed, export_model
from workers.exporting.pictures import some_pictures
from workers.specs.export import ExportFormat, ExportReport

_MOST_IMAGES = 64


def export_checked(folder: Path, kind: ExportFormat, file: Path, images: Path) -> ExportReport:
    """Writes the model of `folder` to `file`, and compares it with the model on pictures from `images`.

    Raises ApiError if it cannot be done, or the file's answers are not the model's.
    """
    pictures = some_pictures(images, _MOST_IMAGES)
    if not pictures:
        raise ApiError(f"{images} has no pictures: name a folder of image files, or Parquet with a column `image`")
    try:
        return export_model(folder, kind, file, pictures)
    except ExportFailed as error:
        raise ApiError(str(error)) from error
