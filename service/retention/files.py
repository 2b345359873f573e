"""Finds and deletes the files of an artifact in a stage's folder. It writes a list of them before it deletes any."""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePosixPath

from pyarrow import fs
from pydantic import Field, ValidationError

from service.config.policies import Artifact
from workers.artifact_io import (
    delete_if_there,
    is_local,
    join_uri,
    open_filesystem,
    read_bytes_if_there,
    walk_files,
    write_bytes,
)
from workers.specs.base import Frozen
from workers.specs.checkpoint import CHECKPOINT_NOTE_FILE, CHECKPOINTS_FOLDER, CheckpointNote
from workers.specs.stages import QUARANTINE_FOLDER

_DIGEST_BYTES = 16
_CHUNK_BYTES = 4 << 20
_CHECKPOINT = re.compile(rf"{CHECKPOINTS_FOLDER}/(checkpoint_[^/]+)/.+")
_PATTERNS: Mapping[Artifact, re.Pattern[str]] = {
    Artifact.LABELS: re.compile(rf"(?!{QUARANTINE_FOLDER}/).*\.parquet"),
    Artifact.SELECTION: re.compile(r".*\.(parquet|tar)|materialized/index\.json"),
    Artifact.SCRATCH: re.compile(
        r"(.*/)?\.[^/]+\.tmp|tune/.*|(trials|trainings)/[^/]+/checkpoints/.*|selections/.*\.parquet"
    ),
}


class CollectedFile(Frozen):
    name: str
    """The path relative to the stage's folder."""
    bytes: int = Field(ge=0)
    digest: str
    """blake2b of the content, 16 bytes, in hex."""


class Inventory(Frozen):
    """The content of collected-ARTIFACT.json. It is written before the first file is deleted and never changes."""

    artifact: Artifact
    files: tuple[CollectedFile, ...]

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files)

    @property
    def digest(self) -> str:
        """blake2b over all names and digests in the order of the names, 16 bytes, in hex."""
        digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
        for file in self.files:
            digest.update(f"{file.name}\0{file.digest}\0".encode())
        return digest.hexdigest()


def files_to_collect(folder_uri: str, artifact: Artifact, keep_last: int) -> dict[str, int]:
    """Returns the sizes in bytes of the files that would go, by path relative to `folder_uri`.

    `keep_last` says how many of the newest checkpoints stay.
    """
    files = walk_files(folder_uri)
    if artifact is not Artifact.CHECKPOINTS:
        return {name: size for name, size in files.items() if _PATTERNS[artifact].fullmatch(name)}
    by_folder: dict[str, list[str]] = {}
    for name in files:
        if (found := _CHECKPOINT.fullmatch(name)) is not None:
            by_folder.setdefault(found[1], []).append(name)
    notes = {folder: _note(folder_uri, folder) for folder in by_folder}
    going = surplus_checkpoints(notes, keep_last)
    return {name: files[name] for folder in going for name in by_folder[folder]}


def surplus_checkpoints(notes: Mapping[str, CheckpointNote | None], keep_last: int) -> list[str]:
    """Returns the checkpoints that may go: all but the one with the best validation accuracy (the latest of equals) and
    the newest `keep_last`. The order of the names is the order of time."""
    in_time = sorted(notes)
    scored = [(note.validation_top1, name) for name, note in notes.items() if note and note.validation_top1 is not None]
    staying = {*in_time[len(in_time) - keep_last :], *([max(scored)[1]] if scored else [])}
    return [name for name in in_time if name not in staying]


def collect_files(
    folder_uri: str, inventory_uri: str, artifact: Artifact, keep_last: int, still_ours: Callable[[], None]
) -> Inventory:
    """Deletes an artifact's files after writing a list of them. Continues where an earlier call was interrupted.

    It calls `still_ours` again and again, since reading a selection of terabytes takes hours. `still_ours` raises if
    another process has claimed the artifact, which ends this call before it starts anything more.
    """
    inventory = _read_inventory(inventory_uri)
    if inventory is None:
        sizes = files_to_collect(folder_uri, artifact, keep_last)
        files = tuple(
            CollectedFile(name=name, bytes=sizes[name], digest=_digest(join_uri(folder_uri, name), still_ours))
            for name in sorted(sizes)
        )
        inventory = Inventory(artifact=artifact, files=files)
        still_ours()
        if files:
            write_bytes(inventory_uri, inventory.model_dump_json().encode())
    for file in inventory.files:
        still_ours()
        delete_if_there(*open_filesystem(join_uri(folder_uri, file.name)))
    _delete_emptied_folders(folder_uri, [file.name for file in inventory.files])
    return inventory


def _delete_emptied_folders(folder_uri: str, deleted: Iterable[str]) -> None:
    """Deletes the folders that no longer hold a file, below the stage's folder. Object stores have no folders."""
    if not is_local(folder_uri):
        return
    left = walk_files(folder_uri)
    parents = {str(parent) for name in deleted for parent in PurePosixPath(name).parents} - {"."}
    for parent in sorted(parents, key=len, reverse=True):
        if not any(name.startswith(f"{parent}/") for name in left):
            filesystem, path = open_filesystem(join_uri(folder_uri, parent))
            if filesystem.get_file_info(path).type == fs.FileType.Directory:
                filesystem.delete_dir(path)


def _read_inventory(uri: str) -> Inventory | None:
    data = read_bytes_if_there(uri)
    return None if data is None else Inventory.model_validate_json(data)


def _note(folder_uri: str, checkpoint: str) -> CheckpointNote | None:
    data = read_bytes_if_there(join_uri(folder_uri, CHECKPOINTS_FOLDER, checkpoint, CHECKPOINT_NOTE_FILE))
    try:
        return None if data is None else CheckpointNote.model_validate_json(data)
    except ValidationError:
        return None  # a checkpoint with a damaged note cannot count as the best one


def _digest(uri: str, still_ours: Callable[[], None]) -> str:
    filesystem, path = open_filesystem(uri)
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    with filesystem.open_input_stream(path, compression=None) as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
            still_ours()
    return digest.hexdigest()
