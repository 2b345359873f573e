"""Finds what a person should know about a dataset that can be registered: its `warnings`."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from service.datasets.formats.source import Source, map_in_threads
from service.datasets.inspection.chosen_files import ChosenFiles
from service.datasets.inspection.sampling import Sample
from service.datasets.places.location import Location
from service.datasets.places.splits import are_splits, splits_of_files
from service.datasets.places.unread_files import counted_files
from workers.data.plain_values import shown
from workers.specs.datasets import DatasetRole

_SHOWN = 5


def warnings_of_files(role: DatasetRole, location: Location, chosen: ChosenFiles) -> list[str]:
    """Returns warnings about skipped files, class folders without images, and splits that are read as one dataset."""
    found = [*location.warnings, *chosen.warnings()]
    if chosen.format == "image_folder":
        tops = {file.name.partition("/")[0] for file in chosen.files if "/" in file.name}
        if role != "unlabeled":
            found += _classes_without_images(location, chosen, tops)
        elif are_splits(tops):
            found.append(f"its folders look like splits ({_listed(sorted(tops))}): all are read as one set")
    elif len(splits := splits_of_files(chosen.files)) > 1:
        found.append(
            f"its files look like splits ({_listed(splits)}): all are read as one set; register each by itself"
        )
    return found


def _classes_without_images(location: Location, chosen: ChosenFiles, filled: set[str]) -> list[str]:
    named = {name.partition("/")[0] for name in location.folders}
    named |= {file.name.partition("/")[0] for file in chosen.left_out if "/" in file.name}
    found = []
    for name in sorted(named - filled):
        left_out = [file for file in chosen.left_out if file.name.startswith(f"{name}/")]
        holds = f"no image that is read ({counted_files(left_out)})" if left_out else "no image: it is empty"
        found.append(f"the class folder {shown(name)} holds {holds}")
    return (
        found
        if len(found) <= _SHOWN
        else [*found[:_SHOWN], f"{len(found) - _SHOWN} more class folders hold none either"]
    )


def warnings_of_classes(counts: Mapping[str, int]) -> list[str]:
    """Returns warnings about classes without images, classes that look alike, and -1, which often means "no label"."""
    found = []
    if empty := [name for name, count in counts.items() if count == 0]:
        found.append(f"{len(empty)} class(es) have no image: {_listed(empty)}")
    if "-1" in counts:
        found.append(
            f"{counts['-1']:,} image(s) have the label -1, which is taken for a class; it often stands for no label"
        )
    alike = defaultdict(list)
    for name in counts:
        alike[unicodedata.normalize("NFKC", name).casefold().strip()].append(name)
    for names in alike.values():
        if len(names) > 1:
            found.append(f"the classes {_listed(names)} differ in case, blanks or spelling of accents only")
    return found


def warnings_of_sample(sample: Sample) -> list[str]:
    """Returns a warning about images with more than 8 bits per sample, which are scaled to 8 bits."""
    if not sample.deep:
        return []
    return [
        f"{sample.deep} of {sample.images} sampled images have 16 (or 12) bits a sample: they are scaled to 8 bits, "
        "from black to white"
    ]


def warnings_of_repeats(source: Source, hashes: Sequence[Sequence[bytes | None]], labeled: bool) -> list[str]:
    """Returns warnings about images that occur more than once, byte for byte, and about those with two labels.

    `hashes` holds the content hashes by shard and row.
    """
    shards = range(len(source.shards))
    labels: Iterable[Sequence[str | None]] = (
        map_in_threads(source.label_names, shards) if labeled else ([None] * len(each) for each in hashes)
    )
    first: dict[bytes, tuple[int, int, str | None]] = {}
    repeats, quarrels = 0, []
    for shard, names in zip(shards, labels, strict=True):
        for row, (value, name) in enumerate(zip(hashes[shard], names, strict=True)):
            if value is None:
                continue
            before = first.setdefault(value, (shard, row, name))
            if before[:2] != (shard, row):
                repeats += 1
                if before[2] != name:
                    quarrels.append((before[:2], (shard, row)))
    found = [f"{repeats:,} image(s) are there more than once, byte for byte"] if repeats else []
    if quarrels:
        rows = " and ".join(shown(source.row_name(*row)) for row in quarrels[0])
        found.append(f"{len(quarrels):,} image(s) have two labels, being there under both; the first: {rows}")
    return found


def _listed(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return ", ".join(shown(name, 60) for name in listed[:_SHOWN]) + more
