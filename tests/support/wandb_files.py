"""Reads the `.wandb` files of offline runs, as `wandb sync` does before it uploads them.

The library's own reader is in its Go program. The file is a header of seven bytes and a log in LevelDB's format
(https://github.com/google/leveldb/blob/main/doc/log_format.md) of the library's own protocol buffers.
"""

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import Record  # type: ignore[attr-defined]  # of protobuf's release

_HEADER = b":W&B"
_HEADER_BYTES = 7
_BLOCK_BYTES = 32_768
_RECORD_HEADER_BYTES = 7
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


@dataclass
class OfflineRun:
    """What one folder says of a run."""

    record: Any = None
    """The RunRecord: run_id, run_group, job_type, display_name, project."""
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    exit_code: int | None = None


def offline_runs(stage_folder: Path) -> list[OfflineRun]:
    """The runs in the folders beside a stage's files, in the order of their beginnings."""
    files = (stage_folder / "wandb").glob("offline-run-*/*.wandb")
    return [_run(file) for file in sorted(files, key=lambda file: file.parent.stat().st_ctime_ns)]


def _run(file: Path) -> OfflineRun:
    found = OfflineRun()
    for record in map(Record.FromString, _messages(file.read_bytes())):
        match record.WhichOneof("record_type"):
            case "run":
                found.record = record.run
                found.config |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
            case "config":
                found.config |= {item.key: json.loads(item.value_json) for item in record.config.update}
            case "history":
                items = record.history.item
                found.history.append({item.key or item.nested_key[0]: json.loads(item.value_json) for item in items})
            case "summary":
                items = record.summary.update
                found.summary |= {item.key or item.nested_key[0]: json.loads(item.value_json) for item in items}
            case "exit":
                found.exit_code = record.exit.exit_code
    return found


def _messages(data: bytes) -> Iterator[bytes]:
    assert data.startswith(_HEADER), data[:_HEADER_BYTES]
    place, parts = _HEADER_BYTES, b""
    while place + _RECORD_HEADER_BYTES <= len(data):
        left = _BLOCK_BYTES - place % _BLOCK_BYTES
        if left < _RECORD_HEADER_BYTES:  # the rest of a block is zeros
            place += left
            continue
        checksum = int.from_bytes(data[place : place + 4], "little")
        length = int.from_bytes(data[place + 4 : place + 6], "little")
        kind, body = data[place + 6], data[place + 7 : place + 7 + length]
        assert zlib.crc32(bytes([kind]) + body) == checksum, f"a record at {place} is damaged"
        parts = body if kind in (_FULL, _FIRST) else parts + body
        if kind in (_FULL, _LAST):
            yield parts
        place += _RECORD_HEADER_BYTES + length
