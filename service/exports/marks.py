"""Takes the images whose class people have given out of the service, as a file that registers as labeled data."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import groupby

import pyarrow as pa
from sqlalchemy import select
from sqlalchemy.orm import Session

from service.artifacts.bulkhead import artifact_store
from service.artifacts.layout import ArtifactLayout
from service.dataset_roots import RootsByProject
from service.datasets.registration.inspector_pool import InspectorPool
from service.datasets.registration.messages import PictureJob
from service.errors import Conflict, InvalidRequest
from service.exports.download import Download
from service.exports.tables import MEDIA_TYPES, TableFormat, table_blocks
from service.store.database import Database
from service.store.dataset_store import CLASSES
from service.store.paging import get_row
from service.store.schema.review_tables import MarkRow
from service.store.schema.tables import DatasetRow, RunRow
from workers.data.shards.shard_readers import load_manifest
from workers.data.shards.uri_lists import read_part
from workers.plain_uri import below
from workers.specs.datasets import DatasetManifest

_OF_FILES = ("image_folder", "uri_list")
"""The formats of pools whose images are files of their own."""
_ABOUT = [("label", pa.string()), ("key", pa.string()), ("verdict", pa.string()), ("content_hash", pa.string())]
_PLACES = pa.schema([("uri", pa.string()), *_ABOUT])
_IMAGES = pa.schema([("image", pa.large_binary()), *_ABOUT])
_ROWS_OF_A_BATCH = 16


@dataclass(frozen=True)
class _MarkedImage:
    dataset_id: str
    shard: int
    row: int
    label: str
    key: str
    verdict: str
    content_hash: str

    @property
    def about(self) -> tuple[str, str, str, str]:
        return self.label, self.key, self.verdict, self.content_hash


class MarkExports:
    """Exports marks. Thread-safe. `inspectors` read the images."""

    def __init__(
        self, database: Database, layout: ArtifactLayout, roots: RootsByProject, inspectors: InspectorPool
    ) -> None:
        self._database = database
        self._layout = layout
        self._roots = roots
        self._inspectors = inspectors

    def table(self, run_id: str, kind: TableFormat) -> Download:
        """Returns a table with a row for each image whose class people have given.

        Raises NotFound; Conflict if there is no such image, and for CSV if images of the pool are not files.
        """
        with self._database.read() as session:
            get_row(session, RunRow, run_id, "run", run_id)
            images = _marked_images(session, run_id)
            ids = sorted({image.dataset_id for image in images})
            pools = {each: get_row(session, DatasetRow, each, "dataset", each) for each in ids}
            projects = {each: pool.project for each, pool in pools.items()}
            packed = sorted(each for each, pool in pools.items() if pool.format not in _OF_FILES)
        if not images:
            raise Conflict(f"nobody has given a class in {run_id}: mark labels as right, or name a class")
        if kind == "csv" and packed:
            raise Conflict(
                f"the images of {packed[0]} are not files of their own, so a list cannot name them: ask for "
                "format=parquet, which holds the images themselves"
            )
        if kind == "csv":
            blocks = table_blocks(kind, _PLACES, self._places(images))
        else:
            blocks = table_blocks(kind, _IMAGES, self._images(images, projects))
        return Download(f"{run_id}-marks.{kind}", MEDIA_TYPES[kind], None, blocks)

    def _places(self, images: Sequence[_MarkedImage]) -> Iterator[pa.RecordBatch]:
        # A pool's manifest may be large, and its images are neighbors here.
        manifest_of = lru_cache(maxsize=1)(lambda dataset_id: load_manifest(self._layout.manifest(dataset_id)))
        for (dataset_id, shard), group in groupby(images, key=lambda image: (image.dataset_id, image.shard)):
            few = list(group)
            with artifact_store():
                uris = _uris(manifest_of(dataset_id), shard, [image.row for image in few])
            yield _batch(_PLACES, [(uri, *image.about) for uri, image in zip(uris, few, strict=True)])

    def _images(self, images: Sequence[_MarkedImage], projects: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
        for start in range(0, len(images), _ROWS_OF_A_BATCH):
            few = images[start : start + _ROWS_OF_A_BATCH]
            read = map(partial(self._read, projects), few)
            yield _batch(
                _IMAGES, [(data, *image.about) for data, image in zip(read, few, strict=True) if data is not None]
            )

    def _read(self, projects: Mapping[str, str], image: _MarkedImage) -> bytes | None:
        """The image as it is stored; None if it is no longer there or no picture."""
        job = PictureJob(
            manifest_uri=self._layout.manifest(image.dataset_id),
            shard=image.shard,
            row=image.row,
            roots=self._roots.of(projects[image.dataset_id]),
            is_whole=True,
        )
        try:
            answer = self._inspectors.picture(job)
        except InvalidRequest:
            return None
        return None if answer.image is None else base64.b64decode(answer.image)


def _marked_images(session: Session, run_id: str) -> list[_MarkedImage]:
    given = select(MarkRow).where(MarkRow.run_id == run_id, MarkRow.verdict != "wrong")
    rows = session.scalars(given.order_by(MarkRow.dataset_id, MarkRow.shard, MarkRow.row))
    return [
        _MarkedImage(
            row.dataset_id,
            row.shard,
            row.row,
            CLASSES.validate_json(row.classes)[0],
            row.key,
            row.verdict,
            row.content_hash,
        )
        for row in rows
    ]


def _uris(manifest: DatasetManifest, shard: int, rows: Sequence[int]) -> list[str]:
    """Where the images of these rows are, in a pool whose images are files of their own."""
    found = manifest.shards[shard]
    if manifest.format == "image_folder":
        return [below(found.uri, found.members[row]) for row in rows]
    entries = read_part(found.uri)
    return [entries[row].uri for row in rows]


def _batch(schema: pa.Schema, rows: Sequence[tuple[object, ...]]) -> pa.RecordBatch:
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
