"""Names of files: which are images by their suffix, and what becomes of one that is not UTF-8."""

IMAGE_SUFFIXES = frozenset({"jpg", "jpeg", "png", "webp", "bmp", "gif", "tif", "tiff"})
"""Of every format that `images.decode_rgb` reads, in lower case."""

UNREADABLE = "backslashreplace"
"""How a byte that is no UTF-8 is written: as \\xe9. Other names stay what they are, and no two become one."""


def readable(name: bytes) -> str:
    """A name as text that every file format takes."""
    return name.decode("utf-8", UNREADABLE)
