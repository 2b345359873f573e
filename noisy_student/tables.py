"""Answers as tables: pandas data frames, where pandas is installed."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

if TYPE_CHECKING:
    import pandas


def to_dataframe(values: Iterable[BaseModel | Mapping[str, Any]]) -> "pandas.DataFrame":
    """A row a value; what is nested gets dotted names. Raises ModuleNotFoundError without pandas."""
    try:
        import pandas
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("a data frame needs pandas: pip install pandas", name="pandas") from error
    rows = [value.model_dump() if isinstance(value, BaseModel) else dict(value) for value in values]
    return pandas.json_normalize(rows)
