"""Writes selection's own files: which rows are selected, how often, and the labels and doubts of aligned rows."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

_SELECTION_SCHEMA = pa.schema(
    [pa.field("row", pa.int32(), nullable=False), pa.field("copies", pa.int32(), nullable=False)]
)
_ALIGNED_SCHEMA = pa.schema(
    [pa.field("label", pa.int32(), nullable=False), pa.field("doubt", pa.float32(), nullable=False)]
)


def selection_parquet(rows: npt.NDArray[np.int32], copies: npt.NDArray[np.int32]) -> bytes:
    """A selection file: the selected rows of a shard, ascending, and how often each is repeated."""
    # Rows ascend: their differences take two or three bits, and are written four times as fast as zstd would compress.
    differences = "DELTA_BINARY_PACKED"
    return _parquet(_SELECTION_SCHEMA, [rows, copies], {"row": differences, "copies": differences})


def aligned_parquet(labels: npt.NDArray[np.int32], doubts: npt.NDArray[np.float32]) -> bytes:
    """The labels and doubts of a shard's rows after alignment, as `LabelRows` has them."""
    return _parquet(_ALIGNED_SCHEMA, [labels, doubts], {"label": "PLAIN", "doubt": "PLAIN"})


def _parquet(schema: pa.Schema, columns: list[npt.NDArray[np.generic]], encodings: dict[str, str]) -> bytes:
    buffer = pa.BufferOutputStream()
    pq.write_table(
        pa.Table.from_arrays(
            [_column(values, kind) for values, kind in zip(columns, schema.types, strict=True)], schema=schema
        ),
        buffer,
        compression="none",
        use_dictionary=False,
        column_encoding=encodings,
        write_statistics=False,
        store_schema=False,
    )
    file: bytes = buffer.getvalue().to_pybytes()
    return file


def _column(values: npt.NDArray[np.generic], kind: pa.DataType) -> pa.Array:
    # pa.array() would import pandas, for a third of a second and 40 MiB in each process.
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values)])
