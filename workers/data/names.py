"""Names of files: which are images by their suffix, and what becomes of one that is not UTF-8."""

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
"""Of every format that `images.decode_rgb` reads, in lower case."""

LABEL_NAMES = ("label", "labels", "class", "class_name", "category", "target", "cls", "y")
"""How columns of tables, and fields of a tar file's JSON, are called that hold labels; the first there is counts."""

UNREADABLE = "backslashreplace"
"""How a byte that is no UTF-8 is written: as \\xe9. Other names stay what they are, and no two become one."""


def readable(name: bytes) -> str:
    """A name as text that every file format takes."""
    return name.decode("utf-8", UNREADABLE)


def suffix_of(name: str) -> str:
    """What follows the last dot of a file's name, in lower case; empty where there is none."""
    stem, dot, suffix = name.rpartition("/")[2].rpartition(".")
    return suffix.lower() if dot and stem else ""


def first_known(known: Sequence[str], names: Sequence[str]) -> str | None:
    """Of `names` the one that comes first in `known`, however it is capitalised."""
    by_lower_case = {name.strip().lower(): name for name in reversed(names)}
    return next((by_lower_case[name] for name in known if name in by_lower_case), None)
