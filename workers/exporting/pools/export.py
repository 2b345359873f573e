"""Writes an export of pseudo labels with pictures into a folder, part by part, and continues one that was stopped."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from workers.artifact_io import delete_folder, read_bytes_if_there, write_bytes, writing
from workers.data.pool_labels import PoolLabels
from workers.data.shards.shard_readers import load_manifest
from workers.exporting.pools import huggingface, webdataset
from workers.exporting.pools.folders import MANIFEST_FILE, LinkFolders, manifest_lines
from workers.exporting.pools.labeled_pictures import ExportedLabels, most_confident
from workers.specs.base import Frozen
from workers.specs.datasets import DatasetManifest
from workers.specs.label_export import LabelFilter, LabelSource, PictureFormat

BEGUN_FILE = ".export.json"
"""What is being exported into the folder. It is there until all is written, so that nothing else is mixed in."""
DONE_FILE = "labels.json"
"""The same with the number of images, once all is there."""
_PARTS_FOLDER = ".parts"
_PARTS_AT_ONCE = 4


class LabelExportFailed(Exception):
    """The labels cannot be exported. The message is for people."""


class ExportRequest(Frozen):
    """An export, as the folder's own file names it."""

    format: PictureFormat
    source: LabelSource
    wanted: LabelFilter
    limit_per_class: int | None


class FinishedExport(Frozen):
    """What an export has written."""

    request: ExportRequest
    images: int


class _PartDone(Frozen):
    images: int


Tell = Callable[[int, int], None]
"""Is told how many of the pool's shards are done, and how many there are."""


def export_pool(request: ExportRequest, folder: Path, tell: Tell) -> FinishedExport:
    """Writes the export into the folder, and returns what it has. What is there is not written again.

    Raises LabelExportFailed if the folder holds something else, ShardReadError for a file of the pool or of the labels
    that is damaged, and OSError.
    """
    finished = _finished(request, folder)
    if finished is not None:
        return finished
    _claim(request, folder)
    labels = PoolLabels(request.source)
    limit = request.limit_per_class
    limited = None if limit is None else most_confident(labels, request.wanted, limit)
    exported = ExportedLabels(labels, request.wanted, limited)
    manifest = load_manifest(request.source.manifest_uri)
    write_part = _part_writer(request, folder, exported, manifest)
    images, shards = 0, request.source.shards
    tell(0, shards)
    with ThreadPoolExecutor(min(_PARTS_AT_ONCE, os.cpu_count() or 1)) as writers:
        try:
            for done, count in enumerate(writers.map(partial(_once, folder, write_part), range(shards)), start=1):
                images += count
                tell(done, shards)
        except BaseException:
            writers.shutdown(cancel_futures=True)
            raise
    written = FinishedExport(request=request, images=images)
    _finish(written, folder)
    return written


def _finished(request: ExportRequest, folder: Path) -> FinishedExport | None:
    """The export, if the folder has all of it."""
    data = read_bytes_if_there(str(folder / DONE_FILE))
    try:
        found = None if data is None else FinishedExport.model_validate_json(data)
    except ValidationError:
        return None
    return found if found is not None and found.request == request else None


def _claim(request: ExportRequest, folder: Path) -> None:
    begun = read_bytes_if_there(str(folder / BEGUN_FILE))
    text = request.model_dump_json().encode()
    if begun == text:
        return
    if begun is not None or (folder.is_dir() and any(folder.iterdir())):
        raise LabelExportFailed(f"{folder} holds something else: name another folder, or remove it")
    write_bytes(str(folder / BEGUN_FILE), text)


def _once(folder: Path, write: Callable[[int], int], shard: int) -> int:
    """Writes the part of a shard unless that was done, and returns its number of images."""
    note = str(folder / _PARTS_FOLDER / f"{shard}.json")
    earlier = read_bytes_if_there(note)
    if earlier is not None:
        return _PartDone.model_validate_json(earlier).images
    images = write(shard)
    write_bytes(note, _PartDone(images=images).model_dump_json().encode())
    return images


def _part_writer(
    request: ExportRequest, folder: Path, exported: ExportedLabels, manifest: DatasetManifest
) -> Callable[[int], int]:
    match request.format:
        case "webdataset":

            def write_tar(shard: int) -> int:
                with writing(str(folder / webdataset.part_name(shard))) as target:
                    return webdataset.write_tar(target, exported.pictures(manifest, shard))

            return write_tar
        case "huggingface":

            def write_parquet(shard: int) -> int:
                with writing(str(folder / huggingface.part_name(shard, request.source.shards))) as target:
                    return huggingface.write_parquet(target, exported.pictures(manifest, shard), request.source)

            return write_parquet
        case "folders":
            links = LinkFolders(folder, manifest, request.source.classes)

            def link(shard: int) -> int:
                lines = links.add(shard, exported.rows(shard).to_pylist())
                write_bytes(str(_lines_file(folder, shard)), manifest_lines(lines, with_head=shard == 0))
                return len(lines)

            return link


def _lines_file(folder: Path, shard: int) -> Path:
    return folder / _PARTS_FOLDER / f"{shard}.csv"


def _finish(finished: FinishedExport, folder: Path) -> None:
    source = finished.request.source
    match finished.request.format:
        case "huggingface":
            write_bytes(str(folder / huggingface.README_FILE), huggingface.card(source, finished.images).encode())
        case "folders":
            with writing(str(folder / MANIFEST_FILE)) as target:
                for lines in _lines(folder, source.shards):
                    target.write(lines)
        case "webdataset":
            pass
    write_bytes(str(folder / DONE_FILE), finished.model_dump_json(indent=2).encode())
    delete_folder(str(folder / _PARTS_FOLDER))
    (folder / BEGUN_FILE).unlink(missing_ok=True)


def _lines(folder: Path, shards: int) -> Iterator[bytes]:
    for shard in range(shards):
        yield _lines_file(folder, shard).read_bytes()
