"""Removes texts and colour profiles from PNG files if they are larger than Pillow unpacks."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MOST_TEXT_BYTES = 64 << 10
"""The longest text that is kept. XMP, which may say how the picture is turned, is shorter."""


def is_png_with_long_texts(data: bytes, error: ValueError) -> bool:
    """Whether Pillow has raised `error` only because of a PNG's texts or profile."""
    return data.startswith(_SIGNATURE) and ("MAX_TEXT_CHUNK" in str(error) or "text chunks" in str(error))


def without_long_texts(data: bytes) -> bytes:
    """The PNG without its colour profile, packed texts and long texts. Its picture and EXIF stay as they are."""
    kept, start = [_SIGNATURE], len(_SIGNATURE)
    while start + 12 <= len(data):
        length = int.from_bytes(data[start : start + 4], "big")
        end = start + 12 + length
        if not _is_long_text(data[start + 4 : start + 8], data[start + 8 : end - 4]):
            kept.append(data[start:end])
        start = end
    return b"".join(kept)


def _is_long_text(kind: bytes, content: bytes) -> bool:
    if kind in (b"zTXt", b"iCCP"):
        return True
    _, _, after_keyword = content.partition(b"\0")
    is_packed = kind == b"iTXt" and after_keyword[:1] == b"\1"
    return is_packed or (kind in (b"tEXt", b"iTXt") and len(content) > _MOST_TEXT_BYTES)
