"""Finds out what is wrong with bytes that no decoder accepts, from how their format begins and ends."""

from collections.abc import Callable

from workers.specs.hygiene import BrokenKind


def kind_of_damage(data: bytes, reason: str) -> BrokenKind:
    """The kind of damage of a picture that a decoder refuses. `reason` is the decoder's own message."""
    for signature, breaks_off in _BREAKS_OFF.items():
        if data.startswith(signature):
            # TIFF has no end mark, and Pillow notices more of the others than these few lines.
            cut = breaks_off(data) or "truncated" in reason.lower()
            return BrokenKind.TRUNCATED if cut else BrokenKind.DAMAGED
    if data[4:12] in (b"ftypavif", b"ftypavis"):
        return BrokenKind.TRUNCATED if _boxes_break_off(data) else BrokenKind.DAMAGED
    # A file so short that not even its signature is whole.
    if any(signature.startswith(data) for signature in _BREAKS_OFF):
        return BrokenKind.TRUNCATED
    return BrokenKind.UNKNOWN_FORMAT


def _jpeg_breaks_off(data: bytes) -> bool:
    # A thumbnail within the EXIF block has marks of its own, before those of the picture.
    return data.rfind(b"\xff\xd9") < max(0, data.rfind(b"\xff\xda"))


def _png_breaks_off(data: bytes) -> bool:
    return b"IEND\xaeB`\x82" not in data


def _gif_breaks_off(data: bytes) -> bool:
    return not data.rstrip(b"\0").endswith(b";")


def _webp_breaks_off(data: bytes) -> bool:
    return int.from_bytes(data[4:8], "little") + 8 > len(data)


def _bmp_breaks_off(data: bytes) -> bool:
    return int.from_bytes(data[2:6], "little") > len(data)


def _tiff_breaks_off(data: bytes) -> bool:
    first_directory = int.from_bytes(data[4:8], "little" if data.startswith(b"II") else "big")
    return first_directory + 2 > len(data)


def _boxes_break_off(data: bytes) -> bool:
    """Whether the last box of an AVIF or JPEG 2000 file reaches beyond its end."""
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if size < 8:  # to the end of the file, or of 64 bits
            return False
        at += size
    return at > len(data)


def _codestream_breaks_off(data: bytes) -> bool:
    return b"\xff\xd9" not in data[-2:]


def _told_by_the_decoder(data: bytes) -> bool:
    return False


_BREAKS_OFF: dict[bytes, Callable[[bytes], bool]] = {
    b"\xff\xd8\xff": _jpeg_breaks_off,
    b"\x89PNG\r\n\x1a\n": _png_breaks_off,
    b"GIF8": _gif_breaks_off,
    b"RIFF": _webp_breaks_off,
    b"BM": _bmp_breaks_off,
    b"II*\0": _tiff_breaks_off,
    b"MM\0*": _tiff_breaks_off,
    b"\0\0\0\x0cjP  \r\n\x87\n": _boxes_break_off,
    b"\xff\x4f\xff\x51": _codestream_breaks_off,
    **{b"P%d" % number: _told_by_the_decoder for number in range(1, 7)},
}
