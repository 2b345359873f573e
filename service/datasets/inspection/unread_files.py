"""Files that are often there and are not read: how they are counted, and what can be done with them."""

from collections import Counter
from collections.abc import Sequence

from service.datasets.inspection.location import FoundFile
from workers.data.names import HEIF_SUFFIXES, IMAGE_SUFFIXES
from workers.data.plain_values import shown

_SHOWN = 6
_OF_LISTS = frozenset({"csv", "tsv", "jsonl", "ndjson"})
_COMPRESSIONS = frozenset({"gz", "bz2", "xz", "zst", "lz4", "tgz", "tbz2", "txz", "br"})
_ARCHIVES = frozenset({"zip", "7z", "rar"})
_TABLES = frozenset({"arrow", "feather", "ipc", "orc", "avro", "h5", "hdf5", "npy", "npz", "tfrecord", "lmdb", "mdb"})
_OTHER_TABLES = frozenset(
    {"rec", "idx", "mat", "pkl", "pickle", "pt", "pth", "msgpack", "db", "sqlite", "beton", "mds"}
)
_RAW_PICTURES = frozenset({"cr2", "cr3", "nef", "arw", "dng", "orf", "rw2", "raf", "pef", "srw", "raw", "psd", "xcf"})
_OTHER_PICTURES = frozenset(
    {"svg", "eps", "ai", "ico", "icns", "tga", "exr", "hdr", "jxl", "dcm", "nii", "pdf", "fits"}
)
_TEXTS = frozenset(
    {"txt", "json", "xml", "html", "htm", "md", "rst", "yaml", "yml", "toml", "ini", "cfg", "log", "py", "sh", "ipynb"}
)
_REST = frozenset(
    {
        "mp4",
        "avi",
        "mov",
        "mkv",
        "webm",
        "wav",
        "mp3",
        "flac",
        "doc",
        "docx",
        "xls",
        "xlsx",
        "url",
        "lnk",
        "lock",
        "idx",
    }
)
_KNOWN = frozenset().union(
    _OF_LISTS, _COMPRESSIONS, _ARCHIVES, _TABLES, _OTHER_TABLES, _RAW_PICTURES, _OTHER_PICTURES, _TEXTS, _REST
) | (HEIF_SUFFIXES - IMAGE_SUFFIXES)

_WAYS_OUT: tuple[tuple[frozenset[str], str], ...] = (
    (_COMPRESSIONS, "compressed files are not read, since they cannot be read from their middle: unpack them first"),
    (_ARCHIVES, "archives are not read: unpack them into a folder first"),
    (_TABLES | _OTHER_TABLES, "such files are not read: write the images to Parquet, or as files"),
    (
        HEIF_SUFFIXES - IMAGE_SUFFIXES,
        "HEIC is read where the optional extra is installed: pip install 'noisy-student[heic]'",
    ),
    (_RAW_PICTURES | _OTHER_PICTURES, "such pictures are not read: convert them to JPEG, PNG or WebP"),
    (_OF_LISTS, "where they list images by URI, give the format uri_list"),
    (frozenset({"txt"}), "where they list images by URI, one a line, give the format uri_list"),
    (frozenset({"json"}), "a list of images is read as JSON lines, an object a line (.jsonl)"),
)
"""By suffix, the most telling first."""


def is_of_another_kind(file: FoundFile) -> bool:
    """Whether its suffix says that it is no picture and no table of pictures: its content need not be looked at."""
    return file.suffix in _KNOWN


def counted(files: Sequence[FoundFile]) -> str:
    """How many files there are of each suffix, the most frequent first."""
    found = Counter(f".{shown(file.suffix, 20)}" if file.suffix else "no suffix" for file in files).most_common()
    listed = [f"{count:,} of {suffix}" for suffix, count in found[:_SHOWN]]
    rest = sum(count for _, count in found[_SHOWN:])
    return ", ".join([*listed, *([f"{rest:,} of others"] if rest else [])])


def way_out(files: Sequence[FoundFile]) -> str | None:
    """What to do with files of which none is read; None where nothing is known of them."""
    for suffixes, advice in _WAYS_OUT:
        fitting = [file for file in files if file.suffix in suffixes]
        if fitting:
            return f"; there are {counted(fitting)}: {advice}"
    return None
