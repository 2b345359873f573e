"""Pictures of every mode, format, orientation and odd size, made by Pillow, by OpenCV and by hand."""

import io
import struct
from collections.abc import Iterator

import cv2
import numpy as np
from PIL import Image

from tests.support.bad_images import png_of, scene

_ORIENTATION_TAG = 0x0112
_TURNED_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "AVIF")
_ODD_SIZES = [(1, 1), (7, 5), (33, 17), (101, 203), (257, 129), (641, 427), (1283, 961)]
_HUGE_SIZES = [(1921, 1281), (1283, 1927), (4001, 3001)]


def encoded(picture: Image.Image, image_format: str, **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, image_format, **options)
    return stream.getvalue()


def detailed(size: tuple[int, int]) -> Image.Image:
    """A picture with edges and grain like a photograph, different in each corner."""
    smooth = np.asarray(scene(size)).astype(np.float64)
    y, x = np.mgrid[: size[1], : size[0]]
    edges = 50 * (np.sin(x * 40 / size[0]) * np.cos(y * 25 / size[1]) > 0)
    grain = np.random.default_rng(5).normal(0, 8, smooth.shape)
    return Image.fromarray(np.clip(smooth * 0.7 + edges[..., None] + grain, 0, 255).astype(np.uint8))


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def with_segments(jpeg: bytes, *segments: bytes) -> bytes:
    """The JPEG with the segments inserted after its first marker."""
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


def exif_block(orientation: int, order: str = ">") -> bytes:
    head = (b"MM\x00*" if order == ">" else b"II*\x00") + struct.pack(f"{order}I", 8)
    entry = struct.pack(f"{order}HHIHH", _ORIENTATION_TAG, 3, 1, orientation, 0)
    return b"Exif\x00\x00" + head + struct.pack(f"{order}H", 1) + entry + bytes(4)


def xmp_block(orientation: int) -> bytes:
    description = f'<x:xmpmeta><rdf:Description tiff:Orientation="{orientation}"/></x:xmpmeta>'
    return b"http://ns.adobe.com/xap/1.0/\x00" + description.encode()


def icc_blocks(count: int) -> list[bytes]:
    return [segment(0xE2, b"ICC_PROFILE\x00" + bytes([n + 1, count]) + bytes(65_000)) for n in range(count)]


def photoshop_blocks(count: int) -> list[bytes]:
    return [segment(0xED, b"Photoshop 3.0\x00" + bytes(65_000)) for _ in range(count)]


def pictures() -> Iterator[tuple[str, bytes]]:
    """Yields the name and the bytes of each picture."""
    yield from _modes()
    yield from _turned()
    yield from _far_from_the_start()
    yield from _jpegs()
    yield from _by_hand()
    yield from _by_opencv()
    for size in _ODD_SIZES:
        for image_format in ("JPEG", "PNG", "WEBP"):
            yield f"{image_format} {size}", encoded(detailed(size), image_format, quality=90)


def huge_jpegs() -> Iterator[tuple[str, bytes]]:
    """Yields JPEGs so large that the decoder scales them down, as name and bytes."""
    for size in _HUGE_SIZES:
        for subsampling in (0, 2):
            yield f"huge {size} {subsampling}", encoded(detailed(size), "JPEG", quality=90, subsampling=subsampling)
    yield "huge, grey", encoded(detailed(_HUGE_SIZES[0]).convert("L"), "JPEG", quality=90)
    yield "huge, progressive", encoded(detailed(_HUGE_SIZES[0]), "JPEG", quality=90, progressive=True)
    turned = with_segments(encoded(detailed(_HUGE_SIZES[0]), "JPEG", quality=90), segment(0xE1, exif_block(6)))
    yield "huge, turned", turned


def _modes() -> Iterator[tuple[str, bytes]]:
    rgb = detailed((90, 61))
    alpha = Image.fromarray(np.asarray(scene((90, 61)))[..., 1])
    rgba, la = rgb.copy(), rgb.convert("L")
    rgba.putalpha(alpha)
    la.putalpha(alpha)
    palette = rgb.quantize(100)
    seen_through = bytes(range(100))
    for mode in ("1", "L", "RGB", "P"):
        picture = palette if mode == "P" else rgb.convert(mode)
        for image_format in ("PNG", "BMP", "GIF", "TIFF"):
            yield f"{image_format} {mode}", encoded(picture, image_format)
    for image_format in ("PNG", "WEBP", "TIFF", "AVIF"):
        yield f"{image_format} RGBA", encoded(rgba, image_format)
    yield "PNG LA", encoded(la, "PNG")
    yield "TIFF LA", encoded(la, "TIFF")
    yield "PNG P with transparency", encoded(palette, "PNG", transparency=seen_through)
    yield "PNG L with transparency", encoded(rgb.convert("L"), "PNG", transparency=100)
    yield "PNG RGB with transparency", encoded(rgb, "PNG", transparency=(10, 20, 30))
    yield "GIF P with transparency", encoded(palette, "GIF", transparency=7)
    yield "TIFF CMYK", encoded(rgb.convert("CMYK"), "TIFF")
    yield "TIFF LAB", encoded(Image.frombytes("LAB", (90, 61), rgb.tobytes()), "TIFF")
    yield "TIFF YCbCr", encoded(rgb.convert("YCbCr"), "TIFF")
    for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        yield f"TIFF {compression}", encoded(rgb, "TIFF", compression=compression)
    yield "TIFF G4", encoded(rgb.convert("1"), "TIFF", compression="group4")
    yield "BMP RGBA", encoded(rgba, "BMP")
    yield "PPM", encoded(rgb, "PPM")
    yield "PGM", encoded(rgb.convert("L"), "PPM")
    yield "PBM", encoded(rgb.convert("1"), "PPM")
    yield "JPEG 2000", encoded(rgb, "JPEG2000")
    yield "JPEG 2000 without a container", encoded(rgb, "JPEG2000", no_jp2=True)
    yield "JPEG 2000 RGBA", encoded(rgba, "JPEG2000")
    yield "MPO", encoded(rgb, "MPO", save_all=True, append_images=[rgb])
    frames = [Image.new("RGB", rgb.size, colour) for colour in ("red", "blue")]
    for image_format in ("GIF", "WEBP", "PNG", "TIFF", "AVIF"):
        yield f"{image_format} of frames", encoded(rgb, image_format, save_all=True, append_images=frames)


def _turned() -> Iterator[tuple[str, bytes]]:
    picture = detailed((91, 60))
    for orientation in range(10):
        exif = Image.Exif()
        exif[_ORIENTATION_TAG] = orientation
        for image_format in _TURNED_FORMATS:
            yield f"{image_format} orientation {orientation}", encoded(picture, image_format, exif=exif)
    exif[_ORIENTATION_TAG] = 6
    for mode in ("L", "CMYK"):
        yield f"JPEG {mode} turned", encoded(picture.convert(mode), "JPEG", exif=exif)
    for mode in ("L", "P", "1", "LA"):
        yield f"PNG {mode} turned", encoded(picture.convert(mode), "PNG", exif=exif)
    yield "TIFF tiled and turned", encoded(picture, "TIFF", exif=exif, compression="tiff_lzw")


def _far_from_the_start() -> Iterator[tuple[str, bytes]]:
    jpeg = encoded(detailed((91, 60)), "JPEG", quality=92)
    for name, blocks in (("ICC", icc_blocks(3)), ("Photoshop", photoshop_blocks(6))):
        for order in "<>":
            yield f"EXIF behind {name} {order}", with_segments(jpeg, *blocks, segment(0xE1, exif_block(6, order)))
        yield f"XMP behind {name}", with_segments(jpeg, *blocks, segment(0xE1, xmp_block(8)))
    yield "XMP behind 256 KiB", with_segments(jpeg, *photoshop_blocks(8), segment(0xE1, xmp_block(3)))
    yield "EXIF before ICC", with_segments(jpeg, segment(0xE1, exif_block(8)), *icc_blocks(2))
    straight, turned = segment(0xE1, exif_block(1)), segment(0xE1, xmp_block(6))
    yield "EXIF says more than XMP", with_segments(jpeg, straight, turned)
    yield "EXIF twice", with_segments(jpeg, straight, segment(0xE1, exif_block(6)))
    yield "XMP twice", with_segments(jpeg, segment(0xE1, xmp_block(1)), turned)
    yield "EXIF in a comment", with_segments(jpeg, segment(0xFE, exif_block(6)))
    yield "EXIF behind the picture", jpeg + segment(0xE1, exif_block(6))
    yield "EXIF cut short", with_segments(jpeg, segment(0xE1, exif_block(6)[:20]))
    yield "EXIF that is none", with_segments(jpeg, segment(0xE1, b"Exif\x00\x00garbage"))
    yield (
        "EXIF orientation of another type",
        with_segments(jpeg, segment(0xE1, exif_block(6).replace(b"\x01\x12\x00\x03", b"\x01\x12\x00\x04"))),
    )
    yield "bytes that fill up", with_segments(jpeg, b"\xff\xff" + segment(0xE1, exif_block(6)))
    thumbnail = encoded(detailed((40, 20)), "JPEG")
    yield "a thumbnail in EXIF", with_segments(jpeg, segment(0xE1, exif_block(6) + thumbnail))


def _jpegs() -> Iterator[tuple[str, bytes]]:
    picture = detailed((211, 149))
    for subsampling in ("4:4:4", "4:2:2", "4:2:0", "4:1:1"):
        for progressive in (False, True):
            yield (
                f"JPEG {subsampling} {progressive}",
                encoded(picture, "JPEG", quality=85, subsampling=subsampling, progressive=progressive),
            )
    yield "JPEG with restart markers", encoded(picture, "JPEG", restart_marker_blocks=3)
    yield "JPEG of quality 1", encoded(picture, "JPEG", quality=1)
    yield "JPEG of quality 100", encoded(picture, "JPEG", quality=100)
    yield "JPEG, RGB kept", encoded(picture, "JPEG", keep_rgb=True)
    yield "JPEG, optimized", encoded(picture, "JPEG", optimize=True)
    jpeg = encoded(picture, "JPEG", quality=90)
    yield "JPEG and garbage", jpeg + b"\xff\xd8garbage" * 99
    yield "JPEG, adobe RGB", with_segments(jpeg, segment(0xEE, b"Adobe" + struct.pack(">HHHB", 100, 0, 0, 0)))
    inks = 255 - np.asarray(picture.convert("CMYK"))
    cmyk = encoded(Image.frombytes("CMYK", picture.size, inks.tobytes()), "JPEG", quality=90)
    for transform in (0, 2):
        yield (
            f"JPEG, adobe CMYK {transform}",
            with_segments(cmyk, segment(0xEE, b"Adobe" + struct.pack(">HHHB", 100, 0, 0, transform))),
        )


def _by_hand() -> Iterator[tuple[str, bytes]]:
    pixels = np.asarray(detailed((37, 23)))
    wide = (pixels.astype(np.uint16) * 257).astype(">u2")
    yield "PNG RGB of 16 bits", png_of(37, 23, 16, 2, b"".join(b"\0" + row.tobytes() for row in wide))
    alpha = np.concatenate([wide, wide[..., :1]], axis=2)
    yield "PNG RGBA of 16 bits", png_of(37, 23, 16, 6, b"".join(b"\0" + row.tobytes() for row in alpha))
    yield "PNG LA of 16 bits", png_of(37, 23, 16, 4, b"".join(b"\0" + row.tobytes() for row in wide[..., :2]))
    for depth in (1, 2, 4):
        row = bytes(range(-(-37 * depth // 8)))
        yield f"PNG L of {depth} bits", png_of(37, 23, depth, 0, (b"\0" + row) * 23)
    yield "PPM by hand", b"P6 37 23 255\n" + pixels.tobytes()
    yield "PPM with a comment", b"P6\n# a comment\n37 23\n255\n" + pixels.tobytes()
    yield "PPM of numbers", b"P3 37 23 255\n" + b" ".join(b"%d" % value for value in pixels.reshape(-1))


def _by_opencv() -> Iterator[tuple[str, bytes]]:
    pixels = np.asarray(detailed((203, 101)))[..., ::-1]
    for suffix in (".jpg", ".png", ".webp", ".bmp", ".tiff", ".ppm", ".jp2"):
        yield f"OpenCV {suffix}", cv2.imencode(suffix, pixels)[1].tobytes()
    yield "OpenCV progressive", cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    yield (
        "OpenCV 4:4:0",
        cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_440])[
            1
        ].tobytes(),
    )
    yield "OpenCV 16-bit PNG", cv2.imencode(".png", pixels.astype(np.uint16) * 257)[1].tobytes()
    yield "OpenCV 16-bit TIFF", cv2.imencode(".tiff", pixels.astype(np.uint16) * 257)[1].tobytes()
