"""Responses as pandas data frames, if pandas is installed."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas
    from pydantic import BaseModel


def to_dataframe(values: "Iterable[BaseModel | Mapping[str, Any]]") -> "pandas.DataFrame":
    """One row per value. Nested values get dotted column names. Raises ModuleNotFoundError without pandas."""
    try:
        import pandas
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("a data frame needs pandas: pip install pandas", name="pandas") from error
    rows = [dict(value) if isinstance(value, Mapping) else value.model_dump() for value in values]
    return pandas.json_normalize(rows)
