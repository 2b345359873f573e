"""Small pictures for people to look at, encoded again: nothing of the original file but its pixels goes on."""

import io

from PIL import Image

from workers.data.images.decode import decode_rgb

MOST_PIXELS = 256
"""The height and the width of a small picture are at most this."""
_QUALITY = 85


def small_jpeg(data: bytes) -> bytes:
    """The picture as a JPEG of at most 256 x 256 pixels; a smaller one keeps its size. Raises BrokenImage."""
    picture = decode_rgb(data)
    picture.thumbnail((MOST_PIXELS, MOST_PIXELS), Image.Resampling.LANCZOS, reducing_gap=2.0)
    stream = io.BytesIO()
    # A new picture, so that neither a profile nor a comment of the original comes along.
    Image.frombytes("RGB", picture.size, picture.tobytes()).save(stream, "JPEG", quality=_QUALITY)
    return stream.getvalue()
