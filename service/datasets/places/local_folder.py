"""Walks a folder of this machine. It visits each real folder once, whatever links lead to it."""

import math
import os
import stat
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from workers.data.left_behind import is_hidden_by_somebody, is_left_behind


@dataclass
class FolderContents:
    """What is below a folder. All names are relative to it, with slashes."""

    sizes: dict[str, int] = field(default_factory=dict)
    """The sizes in bytes of regular files and of links to such files."""
    folders: list[str] = field(default_factory=list)
    """The folders that were listed."""
    repeated_folders: list[str] = field(default_factory=list)
    """Folders that were already listed under another name, and links to a folder that contains them."""
    dead_links: list[str] = field(default_factory=list)
    hidden_folders: list[str] = field(default_factory=list)
    """Folders whose names begin with a dot and that no known program creates. They were not listed."""
    special_files: list[str] = field(default_factory=list)
    """Pipes, sockets and devices: reading one may never end."""
    is_complete: bool = True
    """Whether everything was listed. Otherwise there are more files than were asked for."""


@dataclass(frozen=True)
class _Folder:
    name: str
    real_path: str


def walk_local_folder(root: str, most_files: float = math.inf) -> FolderContents:
    """Lists everything below `root`, follows links, and skips what `is_left_behind` names.

    It lists folders before links to them, so that chance does not decide which of two names is kept. Once it has found
    `most_files`, it lists no further folder, but names those that it knows. Raises OSError for a folder that cannot be
    listed.
    """
    contents = FolderContents()
    looked_into: set[str] = set()
    waiting, links = deque([_Folder("", os.path.realpath(root))]), deque[_Folder]()
    while waiting or links:
        folder = (waiting or links).popleft()
        if folder.real_path in looked_into:
            contents.repeated_folders.append(folder.name)
            continue
        looked_into.add(folder.real_path)
        contents.folders.append(folder.name)
        if len(contents.sizes) >= most_files:
            contents.is_complete = False
            continue
        for entry, status in _entries(folder, contents):
            name = f"{folder.name}/{entry.name}".lstrip("/")
            if stat.S_ISREG(status.st_mode):
                contents.sizes[name] = status.st_size
            elif not stat.S_ISDIR(status.st_mode):
                contents.special_files.append(name)
            elif not entry.is_symlink():
                waiting.append(_Folder(name, f"{folder.real_path.rstrip('/')}/{entry.name}"))
            elif Path(folder.real_path).is_relative_to(target := os.path.realpath(entry.path)):
                contents.repeated_folders.append(name)  # the link leads to a folder that contains this one
            else:
                links.append(_Folder(name, target))
    contents.folders.remove("")
    return contents


def _entries(folder: _Folder, contents: FolderContents) -> Iterator[tuple["os.DirEntry[str]", os.stat_result]]:
    with os.scandir(folder.real_path) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        if is_left_behind(entry.name):
            if is_hidden_by_somebody(entry.name) and entry.is_dir():
                contents.hidden_folders.append(f"{folder.name}/{entry.name}".lstrip("/"))
            continue
        try:
            yield entry, entry.stat()
        except OSError:  # for example a link that leads to itself
            if not entry.is_symlink():
                raise
            contents.dead_links.append(f"{folder.name}/{entry.name}".lstrip("/"))
