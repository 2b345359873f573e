"""File names: which suffixes are images, and how a name that is not UTF-8 is written."""

from collections.abc import Sequence
from importlib.util import find_spec

HEIF_SUFFIXES = frozenset({"heic", "heif", "hif"})
READS_HEIF = find_spec("pillow_heif") is not None
"""HEIC, the format of many telephones, is read where the optional extra `heic` is installed."""

IMAGE_SUFFIXES = frozenset(
    {
        *("jpg", "jpeg", "jpe", "jfif", "jfi", "jif", "png", "apng", "webp", "bmp", "dib", "gif", "tif", "tiff"),
        *("avif", "avifs", "jp2", "j2k", "j2c", "jpc", "jpf", "jpx", "ppm", "pgm", "pbm", "pnm"),
        *(HEIF_SUFFIXES if READS_HEIF else ()),
    }
)
"""The suffixes, in lower case, of all formats that `images.decode_rgb` reads."""

LABEL_NAMES = ("label", "labels", "class", "class_name", "category", "target", "cls", "y")
"""The names of columns, and of fields in a tar file's JSON, that hold labels. The first one found counts."""

UNREADABLE = "backslashreplace"
"""How a byte that is no UTF-8 is written: as \\xe9. Other names stay as they are, and no two become the same."""


def readable(name: bytes) -> str:
    """The name as a text that every file format accepts."""
    return name.decode("utf-8", UNREADABLE)


def suffix_of(name: str) -> str:
    """What follows the last dot of a file's name, in lower case; empty if it has no dot."""
    stem, dot, suffix = name.rpartition("/")[2].rpartition(".")
    return suffix.lower() if dot and stem else ""


def first_known(known: Sequence[str], names: Sequence[str]) -> str | None:
    """The one of `names` that comes first in `known`, ignoring case; None if none does."""
    by_lower_case = {name.strip().lower(): name for name in reversed(names)}
    return next((by_lower_case[name] for name in known if name in by_lower_case), None)
