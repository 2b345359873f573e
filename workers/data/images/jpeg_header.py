"""Reads the markers before a JPEG's first pixel: its size, its coding, and whether it must be turned."""

import re
import struct
from dataclasses import dataclass

_START = b"\xff\xd8\xff"
_EXIF = b"Exif\x00\x00"
_XMP = b"http://ns.adobe.com/xap/1.0/\x00"
_ORIENTATION_TAG = 0x0112
_SHORT = 3
_XMP_ORIENTATION = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')
"""Pillow's own pattern: an attribute or an element."""
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE_FRAMES = (0xC2, 0xC6, 0xCA, 0xCE)


@dataclass(frozen=True)
class JpegHeader:
    """A JPEG's only frame, and what the markers before it say."""

    width: int
    height: int
    bits: int
    """Bits of a sample: 8 as a rule."""
    frame: int
    """The frame's marker. 0xC0 and 0xC1 are sequential, 0xC2 is progressive, the others are rare."""
    layers: int
    layer_samples: float
    """Samples of a pixel over all layers: 3 without chroma subsampling, 1.5 with 4:2:0."""
    in_pieces: bool
    """Whether the layers or bits of a pixel come in several scans. A decoder then holds all coefficients at once."""
    turned: bool
    """Whether EXIF, or else XMP, turns the picture, or says what these few lines do not understand."""


def read_jpeg_header(data: bytes) -> JpegHeader | None:
    """The header of a JPEG, however long its profiles are; None for other data, or if bytes stand between markers."""
    if not data.startswith(_START):
        return None
    exif: list[bytes] = []
    xmp: list[bytes] = []
    frame: tuple[int, bytes] | None = None
    at, end = 2, len(data)
    while at + 4 <= end and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        length = data[at + 2] << 8 | data[at + 3]
        content = at + 4
        at += 2 + length
        if marker < 0xC0 or 0xD0 <= marker < 0xDA or length < 2 or at > end:
            return None
        if marker == 0xE1:
            if data.startswith(_EXIF, content):
                exif.append(data[content + len(_EXIF) : at])
            elif data.startswith(_XMP, content):
                xmp.append(data[content + len(_XMP) : at])
        elif marker in _FRAMES:
            if frame is not None:
                return None
            frame = marker, data[content:at]
        elif marker == 0xDA:
            return None if frame is None else _header(*frame, data[content], exif, xmp)
    return None


def _header(marker: int, frame: bytes, layers_of_scan: int, exif: list[bytes], xmp: list[bytes]) -> JpegHeader | None:
    if len(frame) < 6 or len(frame) < 6 + 3 * frame[5] or not frame[5]:
        return None
    bits, height, width, layers = struct.unpack_from(">BHHB", frame)
    factors = [(factor >> 4, factor & 15) for factor in frame[7 : 6 + 3 * layers : 3]]
    whole = max(across for across, _ in factors) * max(down for _, down in factors)
    if not width or not height or not whole:
        return None
    return JpegHeader(
        width=width,
        height=height,
        bits=bits,
        frame=marker,
        layers=layers,
        layer_samples=sum(across * down for across, down in factors) / whole,
        in_pieces=marker in _PROGRESSIVE_FRAMES or layers_of_scan < layers,
        turned=_is_turned(exif, xmp),
    )


def _is_turned(exif: list[bytes], xmp: list[bytes]) -> bool:
    if len(exif) > 1:  # Pillow joins them
        return True
    try:
        orientation = _exif_orientation(exif[0]) if exif else None
    except struct.error:
        return True
    if orientation is not None:
        return orientation != 1
    return any(found[1] != b"1" for found in map(_XMP_ORIENTATION.search, xmp) if found)


def _exif_orientation(tiff: bytes) -> int | None:
    """The orientation in an EXIF block; None if there is none, 0 if it is no single short number.

    Raises struct.error for a damaged block.
    """
    order = {b"II*\x00": "<", b"MM\x00*": ">"}.get(tiff[:4])
    (start,) = struct.unpack_from(f"{order}I", tiff, 4)
    (entries,) = struct.unpack_from(f"{order}H", tiff, start)
    for entry in range(entries):
        tag, kind, count, value = struct.unpack_from(f"{order}HHIH", tiff, start + 2 + 12 * entry)
        if tag == _ORIENTATION_TAG:
            return int(value) if (kind, count) == (_SHORT, 1) else 0
    return None
