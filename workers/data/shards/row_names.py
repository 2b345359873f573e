"""Names a row of a registered dataset for messages: its file, and the row or line in it."""

from workers.artifact_io import name_of
from workers.data.plain_values import shown
from workers.data.shards import uri_lists
from workers.specs.datasets import DatasetManifest


def row_name(manifest: DatasetManifest, row: int) -> str:
    """The name of a row, which is counted over all shards. Reads at most one part of a list."""
    for shard in manifest.shards:
        if row >= shard.rows:
            row -= shard.rows
        elif shard.members:
            return shown(shard.members[row])
        elif manifest.format == "uri_list":
            return shown(uri_lists.read_part(shard.uri)[row].origin)
        else:
            return f"{shown(name_of(shard.uri))} row {shard.chosen[row] if shard.chosen else row}"
    raise IndexError(f"dataset {manifest.dataset_id} has {manifest.rows} rows")
