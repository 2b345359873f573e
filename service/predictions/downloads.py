"""Downloads of finished predictions: a zip of their files as they are, or one table, written while it is sent."""

from typing import Literal, assert_never

import pyarrow as pa
import pyarrow.parquet as pq
from zipstream import ZipStream

from service.artifacts.bulkhead import artifact_store
from service.errors import Conflict
from service.exports.download import Download
from service.exports.file_blocks import file_blocks, parquet_batches
from service.exports.tables import MEDIA_TYPES, TableFormat, table_blocks
from service.predictions.queries import PredictionQueries
from service.views.studies import PredictionView
from workers.artifact_io import join_uri, list_files, open_filesystem
from workers.specs.stages import part_name

DownloadFormat = Literal["zip", "parquet", "csv"]
SUMMARY_FILE = "prediction.json"


class PredictionDownloads:
    """Makes downloads of predictions. Thread-safe."""

    def __init__(self, queries: PredictionQueries) -> None:
        self._queries = queries

    def download(self, prediction_id: str, kind: DownloadFormat) -> Download:
        """Returns the prediction as one file. Raises NotFound, Conflict if it has not succeeded or its files are gone,
        and ArtifactStoreUnavailable."""
        view = self._queries.get(prediction_id)
        if view.outcome is None:
            raise Conflict(f"{prediction_id} has not succeeded yet: it is {view.state}")
        names = [part_name(shard) for shard in range(view.outcome.shards)]
        with artifact_store():
            sizes = list_files(view.folder_uri)
        missing = [name for name in names if name not in sizes]
        if missing:
            raise Conflict(f"{prediction_id} has lost {len(missing)} of its {len(names)} files, such as {missing[0]}")
        match kind:
            case "zip":
                return _archive(view, {name: sizes[name] for name in names})
            case "parquet" | "csv":
                return _table(view, names, kind)
            case _:
                assert_never(kind)


def _archive(view: PredictionView, sizes: dict[str, int]) -> Download:
    archive = ZipStream(sized=True)
    archive.add(view.model_dump_json(indent=2).encode(), f"{view.id}/{SUMMARY_FILE}")
    for name, size in sizes.items():
        archive.add(file_blocks(join_uri(view.folder_uri, name)), f"{view.id}/{name}", size=size)
    return Download(f"{view.id}.zip", "application/zip", len(archive), iter(archive))


def _table(view: PredictionView, names: list[str], kind: TableFormat) -> Download:
    uris = [join_uri(view.folder_uri, name) for name in names]
    with artifact_store():
        schema = _schema(uris[0])
    batches = (batch.replace_schema_metadata(schema.metadata) for uri in uris for batch in parquet_batches(uri))
    return Download(f"{view.id}.{kind}", MEDIA_TYPES[kind], None, table_blocks(kind, schema, batches))


def _schema(uri: str) -> pa.Schema:
    """The schema of a file, and of its metadata what holds for all files."""
    filesystem, path = open_filesystem(uri)
    with filesystem.open_input_file(path) as source:
        schema = pq.read_schema(source)
    metadata = {name: value for name, value in (schema.metadata or {}).items() if b"summary" not in name}
    return schema.with_metadata(metadata)
