"""Turns the rows of a list file into entries: finds the columns of URI, label and key, and checks their values."""

from collections.abc import Mapping, Sequence
from typing import Any

from service.config.datasets import DatasetRequest
from service.errors import InvalidRequest
from workers.artifact_io import name_of
from workers.data.label_values import UnfitValue, kind_of, value_text
from workers.data.names import LABEL_NAMES, first_known
from workers.data.plain_values import MAX_KEY_CHARACTERS, flaw_of, shown
from workers.data.shards.list_entries import why_never_opened
from workers.data.shards.uri_lists import ListEntry, resolved
from workers.plain_uri import below

URI_NAMES = (
    *("uri", "url", "path", "file", "file_name", "filename", "filepath", "image", "image_uri", "image_url"),
    *("image_path", "image_file", "img_path", "file_path"),
)

Row = Mapping[str, Any]


class ListColumns:
    """The columns of a list file that are used. They are chosen by its first row, whose columns are `names`.

    Messages list the columns only if `names_are_told`. It is false if the names might be contents of the file, which
    messages must not repeat. Raises InvalidRequest if a column is missing or cannot be guessed.
    """

    def __init__(self, request: DatasetRequest, list_uri: str, names: Sequence[str], names_are_told: bool) -> None:
        self._list_uri = list_uri
        self._relative_to = list_uri if request.base_uri is None else below(request.base_uri, name_of(list_uri))
        self._names = names
        self._told = names_are_told
        self._uri = self._chosen("image_column", request.image_column) or self._guessed_uri()
        self._key = self._chosen("key_column", request.key_column)
        self._label: str | None = None
        if request.role != "unlabeled":
            self._label = self._chosen("label_column", request.label_column) or self._guessed_label()

    def entry(self, row: Row, origin: str) -> ListEntry:
        """Returns the entry of a row. Raises InvalidRequest, naming the row by `origin`, for an unusable value."""
        written = _place(row.get(self._uri), origin)
        if written is None:
            raise InvalidRequest("image_column", f"{origin}: there is no URI in its column")
        key = _text(row.get(self._key), "key", origin) if self._key is not None else None
        label = _text(row.get(self._label), "label", origin) if self._label is not None else None
        for name, value in (("image", written), ("key", key)):
            flaw = None if value is None else flaw_of(value, MAX_KEY_CHARACTERS)
            if flaw is not None:
                kind = why_never_opened(written[:MAX_KEY_CHARACTERS])
                problem = f"the entry is {kind}" if name == "image" and kind else f"the {name} has {flaw}"
                raise InvalidRequest(f"{name}_column", f"{origin}: {problem}")
        if label is not None and (flaw := flaw_of(label)) is not None:
            raise InvalidRequest("label_column", f"{origin}: its label has {flaw}, and cannot be the name of a class")
        return ListEntry(key or written, resolved(written, self._relative_to), label, origin)

    def _chosen(self, field: str, name: str | None) -> str | None:
        if name is not None and name not in self._names:
            raise InvalidRequest(field, f"{self._list_uri}: no column {shown(name)!r}; {self._listed()}")
        return name

    def _guessed_uri(self) -> str:
        known = first_known(URI_NAMES, self._names)
        if known is None and len(self._names) == 1:
            return self._names[0]
        if known is None:
            raise InvalidRequest(
                "image_column", f"{self._list_uri}: no column is known to hold the URIs; {self._listed()}"
            )
        return known

    def _guessed_label(self) -> str:
        known = first_known(LABEL_NAMES, [name for name in self._names if name != self._uri])
        if known is None:
            raise InvalidRequest(
                "label_column", f"{self._list_uri}: no column is known to hold the labels; {self._listed()}"
            )
        return known

    def _listed(self) -> str:
        if self._told:
            return f"its columns are {', '.join(shown(name, 40) for name in self._names[:40])}"
        return (
            f"it has {len(self._names)} column(s), none of them so called: a .csv begins with a line such as uri,label"
        )


def _place(value: Any, origin: str) -> str | None:
    """Returns the URI or path in a cell, or None if it is empty. Of Hugging Face's struct it takes the path."""
    if isinstance(value, Mapping) and "path" in value:
        value = value["path"]
    if value is not None and not isinstance(value, str):
        raise InvalidRequest("image_column", f"{origin}: its URI is {kind_of(value)}, it must be a text")
    return (value or "").strip() or None


def _text(value: Any, what: str, origin: str) -> str | None:
    try:
        return value_text(value)
    except UnfitValue as error:
        raise InvalidRequest(f"{what}_column", f"{origin}: its {what} is {error}") from error
