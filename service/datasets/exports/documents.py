"""Reads the JSON file of an export, and recognizes by its form which tool has written it."""

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from service.config.datasets import ExportFormat
from service.errors import InvalidRequest
from workers.artifact_io import open_filesystem
from workers.data.dataset_roots import check_place
from workers.data.shards.whole_files import check_regular

MOST_BYTES = 256 << 20
"""The largest JSON file that is read. JSON is in memory as a whole, and takes several times its size there."""
_FROM_LABEL_STUDIO = frozenset({"annotation_id", "annotator", "lead_time"})
"""Fields of Label Studio's JSON-MIN and CSV. Two of them hardly come together by chance."""


def read_json(uri: str) -> Any:
    """Returns the document in a JSON file. Raises InvalidRequest or ShardReadError, which name the file."""
    check_place(uri)
    try:
        filesystem, path = open_filesystem(uri)
        check_regular(uri, filesystem, path)
        with filesystem.open_input_file(path) as source:
            if source.size() > MOST_BYTES:
                problem = f"is larger than {MOST_BYTES >> 20} MiB: export it in parts, or write it as JSON lines"
                raise InvalidRequest("uri", f"{uri}: {problem}")
            content = bytes(source.read())
    except (OSError, pa.ArrowException) as error:
        raise InvalidRequest("uri", f"{uri}: cannot be read: {error}") from error
    try:
        return json.loads(content.decode("utf-8-sig"))
    except RecursionError as error:
        raise InvalidRequest("uri", f"{uri}: is nested too deeply") from error
    except json.JSONDecodeError as error:
        raise InvalidRequest("uri", f"{uri} line {error.lineno}: not JSON: {error.msg}") from error
    except ValueError as error:
        raise InvalidRequest("uri", f"{uri}: not UTF-8 text") from error


def format_of(document: Any) -> ExportFormat | None:
    """Returns the tool that a document seems to come from; None if it has the form of none."""
    if isinstance(document, dict):
        if all(isinstance(document.get(name), list) for name in ("images", "annotations", "categories")):
            return "coco"
        if isinstance(document.get("labels"), dict):
            return "fiftyone"
        samples = document.get("samples")
        has_paths = isinstance(samples, list) and samples and isinstance(samples[0], dict) and "filepath" in samples[0]
        return "fiftyone" if has_paths else None
    if not isinstance(document, list) or not document or not isinstance(document[0], dict):
        return None
    first = document[0]
    is_task = isinstance(first.get("data"), dict) and not {"annotations", "completions"}.isdisjoint(first)
    return "label_studio" if is_task or is_flat_row(first) else None


def is_flat_row(row: Mapping[str, Any]) -> bool:
    """Whether a row has the columns that Label Studio writes beside labels."""
    return len(_FROM_LABEL_STUDIO & set(row)) >= 2
