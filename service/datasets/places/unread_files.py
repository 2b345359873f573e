"""Counts the files that registration does not read, and says what a user can do with them."""

from collections import Counter
from collections.abc import Iterable, Sequence

from service.datasets.places.location import FoundFile
from workers.data import other_suffixes
from workers.data.plain_values import shown

_SHOWN = 6

_WAYS_OUT: tuple[tuple[frozenset[str], str], ...] = (
    (
        other_suffixes.COMPRESSED,
        "compressed files are not read, since they cannot be read from their middle: unpack them first",
    ),
    (other_suffixes.ARCHIVES, "archives are not read: unpack them into a folder first"),
    (other_suffixes.TABLES, "such files are not read: write the images to Parquet, or as files"),
    (
        other_suffixes.UNREAD_HEIF,
        "HEIC is read where the optional extra is installed: pip install 'noisy-student[heic]'",
    ),
    (other_suffixes.PICTURES, "such pictures are not read: convert them to JPEG, PNG or WebP"),
    (other_suffixes.LISTS, "where they list images by URI, give the format uri_list"),
    (frozenset({"txt"}), "where they list images by URI, one a line, give the format uri_list"),
    (frozenset({"json"}), "a list of images is read as JSON lines, an object a line (.jsonl)"),
)
"""What to do with files, by suffix. The most informative advice comes first."""


def counted(suffixes: Iterable[str]) -> str:
    """Returns how many files there are of each suffix, as text, the most frequent first."""
    found = Counter(f".{shown(suffix, 20)}" if suffix else "no suffix" for suffix in suffixes).most_common()
    listed = [f"{count:,} of {suffix}" for suffix, count in found[:_SHOWN]]
    rest = sum(count for _, count in found[_SHOWN:])
    return ", ".join([*listed, *([f"{rest:,} of others"] if rest else [])])


def counted_files(files: Iterable[FoundFile]) -> str:
    """Returns how many of the files there are of each suffix, as text, the most frequent first."""
    return counted(file.suffix for file in files)


def way_out(files: Sequence[FoundFile]) -> str | None:
    """Returns what to do with files of which none is read, or None if there is no advice for them."""
    for suffixes, advice in _WAYS_OUT:
        fitting = [file for file in files if file.suffix in suffixes]
        if fitting:
            return f": {advice}"
    return None
