"""Arrow columns as numpy arrays, as they lie in memory. Arrow's own fill_null() and to_numpy() would import pandas."""

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Scalar = TypeVar("Scalar", bound=np.generic)


def values_of(column: pa.ChunkedArray, dtype: np.dtype[Scalar]) -> npt.NDArray[Scalar]:
    """A column without nulls."""
    return _in_memory(_whole(column), dtype)


def filled(column: pa.ChunkedArray, value: float, dtype: np.dtype[Scalar]) -> npt.NDArray[Scalar]:
    """A column with `value` for nulls."""
    return _filled(_whole(column), value, dtype)


def lists_of(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    """A column of lists of a fixed size k as (rows, k), with zeros for nulls."""
    array = _whole(column)
    k = array.type.list_size
    flat = _filled(array.values, 0, np.dtype(array.type.value_type.to_pandas_dtype()))
    return flat[array.offset * k : (array.offset + len(array)) * k].reshape(len(array), k)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _filled(array: pa.Array, value: float, dtype: np.dtype[Scalar]) -> npt.NDArray[Scalar]:
    values = _in_memory(array, dtype)
    if not array.null_count:
        return values
    validity = np.frombuffer(array.buffers()[0], np.uint8)
    is_valid = np.unpackbits(validity, count=array.offset + len(array), bitorder="little")[array.offset :]
    changed = values.copy()
    changed[np.flatnonzero(is_valid == 0)] = value
    return changed


def _in_memory(array: pa.Array, dtype: np.dtype[Scalar]) -> npt.NDArray[Scalar]:
    data = array.buffers()[1]
    values = np.empty(0, dtype) if data is None else np.frombuffer(data, dtype)
    return values[array.offset : array.offset + len(array)]
