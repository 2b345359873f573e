"""Folders of images: suffixes of every kind, splits, odd names, links, empty folders."""

from collections.abc import Iterator
from pathlib import Path

from benchmarks.inputs.expectations import Accepted, Body, DatasetInput, Outcome, Refused, Row
from benchmarks.inputs.made_pictures import photo
from benchmarks.inputs.trees import class_folders, labeled_rows, tree, unlabeled_rows, write

_KIND = "class folders"
_BASE = class_folders()
_OF_FORMAT = {
    ".jfif": "JPEG",
    ".jpe": "JPEG",
    ".JPG": "JPEG",
    ".Jpeg": "JPEG",
    "": "JPEG",
    ".png": "PNG",
    ".avif": "AVIF",
    ".ppm": "PPM",
    ".pgm": "PPM",
    ".jp2": "JPEG2000",
    ".j2k": "JPEG2000",
    ".webp": "WEBP",
    ".gif": "GIF",
    ".bmp": "BMP",
    ".tif": "TIFF",
    ".TIFF": "TIFF",
    ".img": "JPEG",
    ".jpg_large": "JPEG",
    ".jpg!d": "JPEG",
    ".jpg_640x640": "PNG",
    ".dib": "BMP",
    ".pnm": "PPM",
    ".apng": "PNG",
    ".bin": "JPEG",
    ".photo": "WEBP",
}


def inputs() -> Iterator[DatasetInput]:
    """Yields all inputs of this module."""
    yield from _suffixes()
    yield from _left_out()
    yield from _splits()
    yield from _shapes()
    yield from _names()


def _input(name: str, files: dict[str, bytes], *expected: Outcome, kind: str = _KIND, **body: object) -> DatasetInput:
    return DatasetInput(name, kind, tree(files, **body), expected or (Accepted(labeled_rows(files)),))


def _suffixes() -> Iterator[DatasetInput]:
    for suffix, image_format in _OF_FORMAT.items():
        whole = {
            f"{name}/{row}{suffix}": photo(row + first, image_format)
            for name, first in (("cat", 0), ("dog", 5))
            for row in range(3)
        }
        yield _input(f"all files end in {suffix or 'nothing'}", whole, kind="suffixes")
        one_class = _BASE | {f"emu/{row}{suffix}": photo(20 + row, image_format) for row in range(2)}
        yield _input(f"one class of {suffix or 'no suffix'}", one_class, kind="suffixes")
        one_file = _BASE | {f"cat/odd{suffix}": photo(30, image_format)}
        yield _input(f"one file of {suffix or 'no suffix'}", one_file, kind="suffixes")
        pool = {f"{row}{suffix}": photo(row, image_format) for row in range(4)}
        rows = Accepted(unlabeled_rows(pool))
        yield _input(f"a pool of {suffix or 'no suffix'}", pool, rows, kind="suffixes", role="unlabeled")
    hashed = {
        f"{name}/{row:02x}d41d8cd98f00b204e9800998ecf8427e": photo(row + first)
        for name, first in (("cat", 0), ("dog", 9))
        for row in range(3)
    }
    yield _input("names that are hashes without suffix", hashed, kind="suffixes")
    wrong = {f"{name}.jpg": content for name, content in class_folders(suffix="").items()}
    wrong |= {"cat/p.jpg": photo(40, "PNG"), "dog/w.png": photo(41, "WEBP"), "dog/g.bmp": photo(42, "GIF")}
    yield _input("suffixes that lie", wrong, kind="suffixes")


_NOT_READ = {
    "tga": b"\0\0\x02\0\0\0\0\0\0\0\0\0\x30\0\x20\0\x18\0",
    "ico": b"\0\0\x01\0\x01\0",
    "qoi": b"qoif\0\0\0\x30\0\0\0\x20\x03\0",
    "psd": b"8BPS\0\x01",
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg'>",
    "jxl": b"\xff\x0a",
    "exr": b"\x76\x2f\x31\x01",
    "hdr": b"#?RADIANCE\n",
    "dng": b"II*\0\x08\0\0\0",
    "arw": b"II*\0\x08\0\0\0",
    "dcm": bytes(128) + b"DICM",
    "npy": b"\x93NUMPY\x01\0",
    "pcx": b"\x0a\x05\x01\x08",
    "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n",
    "pdf": b"%PDF-1.7\n",
}
"""The first bytes of files that their own programs show as pictures, but that this service does not read."""


def _left_out() -> Iterator[DatasetInput]:
    """Yields folders with other files next to the images. What may be an image or a class is never ignored silently."""
    for name, extra in {
        "texts": {"cat/notes.txt": b"all of these are cats", "README.md": b"# pets"},
        "a csv": {"labels.csv": b"file,label\ncat/0.jpg,cat\n"},
        "annotations": {"cat/0.xml": b"<annotation/>", "dog/0.json": b'{"label": "dog"}'},
        "films": {"dog/film.mp4": b"\0\0\0\x20ftypisom" + bytes(99)},
        "archives": {"pets.zip": b"PK\x03\x04" + bytes(50)},
    }.items():
        yield _input(f"beside {name}", _BASE | extra, Accepted(labeled_rows(_BASE)), kind="left out")
    for suffix, head in _NOT_READ.items():
        files = _BASE | {f"fox/{row}.{suffix}": head + bytes([row]) * 300 for row in range(3)}
        said = Accepted(labeled_rows(_BASE), says=(f"fox|{suffix}",))
        as_broken = Accepted(labeled_rows(files))
        yield _input(f"a class of .{suffix}", files, said, as_broken, Refused(says=(f"fox|{suffix}",)), kind="left out")
        stray = _BASE | {f"cat/stray.{suffix}": head + bytes(300)}
        said = Accepted(labeled_rows(_BASE), says=("1|one", f"{suffix}|left out|not a picture"))
        yield _input(f"a stray .{suffix}", stray, said, Accepted(labeled_rows(stray)), kind="left out")
    raw = {"cat/raw.cr2": b"II*\0\x10\0\0\0CR\x02\0" + bytes(500), "dog/raw.nef": b"MM\0*" + bytes(500)}
    counted = Accepted(labeled_rows(_BASE), says=(r"\b2\b", "cr2|nef|left out|cannot|not read"))
    broken_rows = Accepted(labeled_rows(_BASE | raw), says=())
    yield _input("camera raws", _BASE | raw, counted, broken_rows, kind="left out")
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(300)
    heics = {f"fox/{row}.heic": heic + bytes([row]) for row in range(3)}
    yield _input(
        "a class of .heic",
        _BASE | heics,
        Accepted(labeled_rows(_BASE), says=("heic", "3|three")),
        Accepted(labeled_rows(_BASE | heics)),
        Refused(says=("heic|fox",)),
        kind="left out",
    )
    empty = _BASE | {"fox/": b""}
    yield _input(
        "an empty class folder",
        empty,
        Accepted(labeled_rows(_BASE), says=("fox", "empty|no image")),
        Refused(says=("fox",)),
        kind="left out",
    )
    texts_only = _BASE | {"fox/readme.txt": b"to come"}
    yield _input(
        "a class folder of texts",
        texts_only,
        Accepted(labeled_rows(_BASE), says=("fox",)),
        Refused(says=("fox",)),
        kind="left out",
    )
    lfs = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
    pointers = dict.fromkeys(_BASE, lfs)
    yield _input("git lfs pointers", pointers, Refused(says=("git.?lfs|pointer|not a picture",)), kind="left out")
    yield _input("nothing but texts", {"a/1.txt": b"a", "b/2.txt": b"b"}, Refused(), kind="left out")
    yield _input("nothing at all", {}, Refused(says=("no|empty|none",)), kind="left out")


def _splits() -> Iterator[DatasetInput]:
    refused = Refused(says=("split", "register"))
    for names in (
        ("train", "val", "test"),
        ("train", "test"),
        ("train", "validation"),
        ("Train", "Valid", "Test"),
        ("training", "testing"),
        ("train", "val"),
        ("train", "dev", "test"),
        ("training_set", "test_set"),
        ("TRAIN", "TEST"),
        ("train2017", "val2017"),
        ("imagenet_train", "imagenet_val"),
    ):
        files = {
            f"{split}/{name}": photo(50 * place + int(name[-5]) + 7 * (name[0] == "d"))
            for place, split in enumerate(names)
            for name in _BASE
        }
        yield _input(f"splits {', '.join(names)}", files, refused, kind="splits")
    files = {f"train/{name}": content for name, content in _BASE.items()}
    yield _input("train alone, with classes in it", files, refused, kind="splits")
    pool = {"train/a.jpg": photo(0), "val/b.jpg": photo(1), "test/c.jpg": photo(2)}
    rows = Accepted(unlabeled_rows(pool))
    yield _input("splits of a pool", pool, rows, Refused(says=("split",)), kind="splits", role="unlabeled")
    modes = {
        f"{name}/{row}.jpg": photo(9 * place + row)
        for place, name in enumerate(("train", "bus", "car"))
        for row in range(3)
    }
    yield _input("a class called train among vehicles", modes, kind="splits")


def _shapes() -> Iterator[DatasetInput]:
    deep = {f"cat/2019/{row}.jpg": photo(row) for row in range(3)} | {
        f"dog/a/b/{row}.jpg": photo(9 + row) for row in range(3)
    }
    yield _input("folders below the classes", deep)
    yield _input("images outside of a class folder", _BASE | {"stray.jpg": photo(40)}, Refused(says=("stray",)))
    yield _input("one class", class_folders(("cat",)), Refused(says=("class",)))
    wrapped = {f"pets/{name}": content for name, content in _BASE.items()}
    yield _input("a folder around the classes", wrapped, Refused(says=("one class|pets",)))
    many = class_folders([f"class {number:03d}" for number in range(300)], each=1)
    yield _input("three hundred classes of one image", many)
    twice = _BASE | {"dog/copy.jpg": _BASE["cat/0.jpg"]}
    said = Accepted(labeled_rows(twice), says=("two labels|different labels|more than one (class|label)|both",))
    yield _input("one image with two labels", twice, said, Refused(says=("label",)))
    numbers = class_folders(("10", "9", "2"), each=2)
    yield _input("classes that are numbers", numbers, Accepted(labeled_rows(numbers), classes=("2", "9", "10")))
    zero = _BASE | {"cat/zero.jpg": b""}
    yield _input("a zero-byte image", zero, Accepted(labeled_rows(zero)))
    bad = {**_BASE, **{f"cat/bad{row}.jpg": b"not a picture" * 9 for row in range(2)}}
    yield _input("two broken of eight", bad, Accepted(labeled_rows(bad)))
    yield DatasetInput(
        "a sparse file of 3 GiB",
        _KIND,
        _sparse_giant,
        (
            Accepted(labeled_rows(_BASE), says=("1|one",)),
            Accepted((*labeled_rows(_BASE), Row("cat", b""))),
            Refused(says=("giant|large",)),
        ),
        600,
    )
    yield DatasetInput("a folder that is a file", _KIND, _a_file, (Refused(),))
    yield _input("a folder that is not there", {}, Refused(says=("no such|not there|does not exist",)), uri="absent")


def _sparse_giant(folder: Path) -> Body:
    write(folder, _BASE)
    with (folder / "cat" / "giant.jpg").open("wb") as file:
        file.truncate(3 << 30)
    return {}


def _a_file(folder: Path) -> Body:
    write(folder, {"only.jpg": photo(0)})
    return {"uri": "only.jpg", "format": "image_folder"}


_NAMES = {
    "spaces": "my cats",
    "percent signs": "50%25 cats",
    "a plus": "a+b",
    "a question mark": "cats?x=1",
    "a hash": "cats#1",
    "an ampersand": "cats & dogs",
    "quotes": 'it\'s "cats"',
    "a backslash": "cats\\dogs",
    "composed umlauts": "B\u00e4r",
    "decomposed umlauts": "Ba\u0308r",
    "chinese": "\u732b",
    "emoji": "\U0001f431",
    "arabic": "\u0642\u0637\u0629",
    "zero-width": "ca\u200bt",
    "a colon": "cat:1",
    "a comma": "cat,dog",
    "a leading space": " cat",
    "a trailing space": "cat ",
    "a leading dash": "-rf",
    "a tilde": "~cat",
    "brackets": "[cat]",
    "stars": "cat*",
    "html": "<b>cat</b>",
    "an equals sign": "cat=1",
    "a long name": "c" * 200,
    "a dollar": "$HOME",
    "the word null": "null",
    "the word nan": "nan",
    "a number with zeros": "007",
}
_UNSAFE_NAMES = {
    "an escape": "cat\x1b[31m",
    "a newline": "ca\nt",
    "a tab": "ca\tt",
    "a C1 control": "cat\x9b31m",
    "a byte that is no UTF-8": "caf\udce9",
    "a delete": "cat\x7f",
    "a bell": "\x07cat",
    "a carriage return": "cat\rdog",
}


def _names() -> Iterator[DatasetInput]:
    turned = class_folders(("cat\u202egpj", "dog"))
    either = (Accepted(labeled_rows(turned)), Refused(says=("character|direction",)))
    yield _input("a class with a right-to-left override", turned, *either, kind="names")
    for what, name in _NAMES.items():
        yield _input(f"a class with {what}", class_folders((name, "dog")), kind="names")
        files = _BASE | {f"cat/{name}.jpg": photo(60)}
        yield _input(f"a file with {what}", files, kind="names")
    for what, name in _UNSAFE_NAMES.items():
        refused = Refused(says=("control|character|UTF-8|name|cannot",))
        classes = class_folders((name, "dog"))
        yield _input(f"a class with {what}", classes, refused, kind="unsafe names")
        files = {f"cat/{name}.jpg": photo(60)} | _BASE
        accepted = Accepted(labeled_rows(files))
        passed = Accepted(labeled_rows(_BASE), says=("1|one",))
        yield _input(f"a file with {what}", files, refused, accepted, passed, kind="unsafe names")
