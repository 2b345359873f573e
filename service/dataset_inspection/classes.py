"""The classes of a labeled dataset: their names, their order, and how many images each has."""

from collections import Counter
from collections.abc import Iterable

from service.dataset_inspection.source import Source, map_in_threads
from service.errors import InvalidRequest


def check_classes(classes: tuple[str, ...]) -> None:
    """Raises InvalidRequest for explicit classes that cannot work."""
    repeated = [name for name, count in Counter(classes).items() if count > 1]
    if repeated:
        raise InvalidRequest("classes", f"the class {repeated[0]!r} is named more than once")
    if len(classes) < 2:
        raise InvalidRequest("classes", "at least two classes are needed")


def count_classes(source: Source, classes: tuple[str, ...] | None) -> dict[str, int]:
    """Images a class, in index order, from every label there is. `classes` None: those that are found.

    Raises InvalidRequest, naming file and row, for a row without label or with one outside `classes`, and where fewer
    than two classes are found.
    """
    allowed = None if classes is None else frozenset(classes)
    counts: Counter[str] = Counter()
    shard_indices = range(len(source.shards))
    for shard_index, names in zip(shard_indices, map_in_threads(source.label_names, shard_indices), strict=True):
        in_shard = Counter(names)
        if None in in_shard:
            raise InvalidRequest(source.label_field, f"{source.row_name(shard_index, names.index(None))}: has no label")
        for name in in_shard:
            if name is not None and allowed is not None and name not in allowed:
                row = source.row_name(shard_index, names.index(name))
                raise InvalidRequest(
                    "classes", f"{row}: its label {name!r} is none of the {len(allowed)} classes given"
                )
        counts.update({name: count for name, count in in_shard.items() if name is not None})
    ordered = classes or class_order(counts)
    if len(ordered) < 2:
        raise InvalidRequest("classes", f"only one class ({ordered[0]!r}) is in the data; at least two are needed")
    return {name: counts[name] for name in ordered}


def class_order(names: Iterable[str]) -> tuple[str, ...]:
    """Numeric where all names are integers, else alphabetical; the same for every format, so that sets agree."""
    listed = list(names)
    try:
        return tuple(sorted(listed, key=lambda name: (int(name), name)))
    except ValueError:
        return tuple(sorted(listed))
