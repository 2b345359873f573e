"""Makes small tar files: with Python in memory, and with GNU tar from files."""

import io
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.inputs.made_pictures import photo
from benchmarks.inputs.trees import write

LABELS = ["cat", "dog"] * 3
LABELED_TAR = {
    f"{row:03d}.{suffix}": content
    for row, label in enumerate(LABELS)
    for suffix, content in (("jpg", photo(row)), ("cls", label.encode()))
}
"""Six samples, each with its image and label next to each other."""


def tar_of(files: Mapping[str, bytes], tar_format: int = tarfile.USTAR_FORMAT) -> bytes:
    """A tar file with members in the order of the mapping."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tar_format) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def gnu_tar(folder: Path, files: Mapping[str, bytes], options: Sequence[str], target: str = "a.tar") -> Path:
    """A tar file that the program `tar` makes from these files, in their order."""
    source = folder.parent / f"{folder.name}-source"
    write(source, files)
    folder.mkdir(parents=True, exist_ok=True)
    names = "\0".join(files).encode()
    command = ["tar", "--create", f"--file={folder / target}", *options, "--null", "--files-from=-"]
    subprocess.run(command, cwd=source, input=names, check=True)
    return folder / target
