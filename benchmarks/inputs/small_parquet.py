"""Makes small Parquet files in memory."""

import io
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


def parquet(images: Sequence[bytes | None], labels: Sequence[Any] | None, **options: Any) -> bytes:
    """A file with the column `image` and, if there are labels, the column `label`."""
    columns: dict[str, Any] = {"image": pa.array(images, pa.binary())}
    if labels is not None:
        columns["label"] = pa.array(labels)
    return parquet_of(pa.table(columns), **options)


def parquet_of(table: pa.Table, **options: Any) -> bytes:
    """A file with the table."""
    stream = io.BytesIO()
    pq.write_table(table, stream, **options)
    return stream.getvalue()
