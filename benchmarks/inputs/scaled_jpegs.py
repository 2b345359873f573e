"""JPEGs of every odd size, larger than the size at which they are used, which a decoder may scale within bounds."""

from collections.abc import Iterator
from functools import partial

from PIL import Image

from benchmarks.inputs.expectations import PictureInput
from benchmarks.inputs.made_pictures import detailed, encoded

_KIND = "scaled jpegs"
_SIZES = (
    *((1921, 1281), (4001, 3001), (1023, 767), (1025, 769), (1537, 1025), (2049, 1365), (801, 1201), (3001, 2001)),
    *((897, 897), (899, 601), (511, 1999), (2001, 333), (257, 1025), (1793, 1345), (641, 427), (4007, 501)),
)
_OPTIONS: dict[str, dict[str, object]] = {
    "4:2:0": {"quality": 90},
    "4:4:4": {"quality": 95, "subsampling": 0},
    "progressive": {"quality": 85, "progressive": True},
}


def inputs() -> Iterator[PictureInput]:
    """Yields color JPEGs in every size, and the other encodings in some sizes."""
    for place, size in enumerate(_SIZES):
        for name in list(_OPTIONS)[: 1 if place % 4 else None]:
            make = partial(_jpeg, size, name, "RGB")
            yield PictureInput(f"{size[0]}x{size[1]} {name}", _KIND, make)
    for size in _SIZES[:4]:
        yield PictureInput(f"{size[0]}x{size[1]} grey", _KIND, partial(_jpeg, size, "4:2:0", "L"))
        yield PictureInput(f"{size[0]}x{size[1]} cmyk", _KIND, partial(_jpeg, size, "4:2:0", "CMYK"))
        yield PictureInput(f"{size[0]}x{size[1]} turned", _KIND, partial(_turned, size))


def _jpeg(size: tuple[int, int], option: str, mode: str) -> bytes:
    return encoded(detailed(size, seed=size[0]).convert(mode), "JPEG", **_OPTIONS[option])


def _turned(size: tuple[int, int]) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(detailed(size, seed=size[0]), "JPEG", quality=90, exif=exif)
