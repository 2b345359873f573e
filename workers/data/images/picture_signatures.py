"""Tells from the first bytes of a file whether it is a picture that can be read, whatever its name is."""

import re

from workers.data.names import READS_HEIF

SIGNATURE_BYTES = 64
"""How many bytes must be looked at."""

_BEGINNINGS = (
    b"\xff\xd8\xff",  # JPEG
    b"\x89PNG\r\n\x1a\n",
    b"GIF87a",
    b"GIF89a",
    b"II*\0",  # TIFF
    b"MM\0*",
    b"\0\0\0\x0cjP  \r\n\x87\n",  # JPEG 2000, in its container and without
    b"\xff\x4f\xff\x51",
)
_PORTABLE = re.compile(rb"P[1-6][ \t\r\n]+(#|\d+[ \t\r\n])")
_BITMAP_HEADER_BYTES = frozenset({12, 40, 52, 56, 64, 108, 124})
_AVIF_BRANDS = (b"avif", b"avis")
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")


def is_picture(head: bytes) -> bool:
    """Whether a file is a picture of a format that is read. `head` is its first SIGNATURE_BYTES, or all of it."""
    return (
        head.startswith(_BEGINNINGS)
        or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
        or (head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BITMAP_HEADER_BYTES)
        or _PORTABLE.match(head) is not None
        or _has_brand(head, _AVIF_BRANDS)
        or (READS_HEIF and is_heif(head))
    )


def is_heif(head: bytes) -> bool:
    """Whether a file is a HEIC picture, as telephones make them. It is read only if its decoder is installed."""
    return _has_brand(head, _HEIF_BRANDS) and not _has_brand(head, _AVIF_BRANDS)


def _has_brand(head: bytes, brands: tuple[bytes, ...]) -> bool:
    """Whether the first box of a file names one of `brands` as its major or as a compatible brand."""
    if head[4:8] != b"ftyp":
        return False
    named = head[8 : min(int.from_bytes(head[:4], "big"), SIGNATURE_BYTES)]
    return any(named[at : at + 4] in brands for at in range(0, len(named), 4) if at != 4)
