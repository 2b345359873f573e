"""Names the rows of a shard by key or by URI, without reading an image."""

from workers.artifact_io import name_of
from workers.data.errors import ShardReadError
from workers.data.plain_values import printable
from workers.data.shards import arrow_shards, parquet_shards, tar_shards, uri_lists
from workers.plain_uri import below
from workers.specs.datasets import DatasetManifest, Shard

_ROWS = 65_536


def shard_keys(manifest: DatasetManifest, shard_index: int) -> list[str]:
    """The keys of a shard's rows, as `read_shard` gives them. Raises ShardReadError."""
    shard = manifest.shards[shard_index]
    match manifest.format:
        case "image_folder":
            keys = list(shard.members)
        case "uri_list":
            keys = [entry.key for entry in uri_lists.read_part(shard.uri)]
        case "webdataset":
            with tar_shards.open_tar(shard.uri) as stream:
                keys = [sample.key for sample in tar_shards.list_samples(stream, tar_shards.Walk(with_labels=False))]
        case "parquet" | "arrow":
            keys = _keys_of_table(manifest, shard)
    if shard.chosen and len(keys) > len(shard.chosen):
        keys = [keys[row] for row in shard.chosen]
    if len(keys) != shard.rows:
        raise ShardReadError(shard.uri, f"{len(keys)} images where {shard.rows} were registered")
    return keys


def shard_uris(manifest: DatasetManifest, shard_index: int) -> list[str] | None:
    """The URIs of a shard's images; None for a format in which an image has no URI of its own."""
    shard = manifest.shards[shard_index]
    if manifest.format == "image_folder":
        return [below(shard.uri, member) for member in shard.members]
    if manifest.format == "uri_list":
        return [entry.uri for entry in uri_lists.read_part(shard.uri)]
    return None


def _keys_of_table(manifest: DatasetManifest, shard: Shard) -> list[str]:
    file_name = name_of(shard.uri)
    if manifest.key_column is None:
        return [f"{file_name}:{row}" for row in shard.chosen or range(shard.rows)]
    found: list[object] = []
    if manifest.format == "arrow":
        with arrow_shards.open_arrow(shard.uri) as arrow:
            for piece in arrow_shards.iterate_columns(arrow, [manifest.key_column], _ROWS):
                found += piece[manifest.key_column]
    else:
        with parquet_shards.open_parquet(shard.uri) as file:
            found = parquet_shards.read_columns(file, [manifest.key_column])[manifest.key_column]
    return [f"{file_name}:{row}" if key is None else printable(str(key)) for row, key in enumerate(found)]
