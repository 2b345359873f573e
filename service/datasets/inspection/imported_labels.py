"""Checks pseudo labels that somebody else has made before a run begins with them."""

from service.errors import InvalidRequest
from workers.data.errors import ShardReadError
from workers.data.imported_labels import check_no_key_twice, imported_files
from workers.specs.labeling import ImportedTable

_KEYS_COMPARED = 10_000_000
"""Among how many labels a key that comes twice is found, at 16 bytes each. The label stage compares all of them."""


def check_labels(table: ImportedTable) -> int:
    """Reads all labels and returns their number. Raises InvalidRequest, whose message names the file and the row."""
    try:
        files = imported_files(table.uri)
        labels = check_no_key_twice(files, table.classes, table.key_column, _KEYS_COMPARED)
    except ShardReadError as error:
        raise InvalidRequest("uri", str(error)) from error
    if not labels:
        raise InvalidRequest("uri", f"{table.uri}: no row has a label")
    return labels
