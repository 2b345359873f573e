"""Finds the classes of a labeled dataset: their names, their order, and the number of images of each."""

from collections import Counter
from collections.abc import Iterable

from service.datasets.formats.source import Source, map_in_threads
from service.errors import InvalidRequest
from workers.data.plain_values import flaw_of, shown


def check_classes(classes: tuple[str, ...]) -> None:
    """Raises InvalidRequest if the classes of a request cannot work."""
    for number, name in enumerate(classes):
        if (flaw := flaw_of(name)) is not None:
            raise InvalidRequest("classes", f"the class at place {number} has {flaw}")
    repeated = [name for name, count in Counter(classes).items() if count > 1]
    if repeated:
        raise InvalidRequest("classes", f"the class {shown(repeated[0])!r} is named more than once")
    if len(classes) < 2:
        raise InvalidRequest("classes", "at least two classes are needed")


def count_classes(source: Source, classes: tuple[str, ...] | None) -> dict[str, int]:
    """Reads all labels and returns the number of images of each class, in index order.

    If `classes` is None, the classes are those that the files name or that the labels contain. Raises InvalidRequest if
    a row has no label, a label that cannot name a class, or one outside of `classes`, and if there are fewer than two
    classes. The message names the file and the row but does not quote the label, which comes from a file.
    """
    known = classes or source.class_names
    allowed = None if known is None else frozenset(known)
    counts: Counter[str] = Counter()
    shard_indices = range(len(source.shards))
    for shard_index, names in zip(shard_indices, map_in_threads(source.label_names, shard_indices), strict=True):
        in_shard = Counter(names)
        for name in in_shard.keys() - counts.keys():
            _check_label(source, shard_index, names, name, allowed)
        counts.update({name: count for name, count in in_shard.items() if name is not None})
    ordered = known or class_order(counts)
    if len(ordered) < 2:
        raise InvalidRequest("classes", "only one class is in the data; at least two are needed")
    return {name: counts[name] for name in ordered}


def _check_label(
    source: Source, shard_index: int, names: list[str | None], name: str | None, allowed: frozenset[str] | None
) -> None:
    flaw = None if name is None else flaw_of(name)
    if name is None:
        field, problem = source.label_field, f"has no label{_no_label(source)}"
    elif flaw is not None:
        field, problem = source.label_field, f"its label has {flaw}, and cannot be the name of a class"
    elif allowed is not None and name not in allowed:
        field, problem = "classes", f"its label is none of the {len(allowed)} classes {_named(source)}"
    else:
        return
    raise InvalidRequest(field, f"{source.row_name(shard_index, names.index(name))}: {problem}")


def _no_label(source: Source) -> str:
    if source.format == "webdataset":
        return ": no .cls, and no .json with a field `label`"
    return "" if source.class_names is None else ", or -1, which is none of the classes that the files name"


def _named(source: Source) -> str:
    return "given" if source.class_names is None else "that the files name"


def class_order(names: Iterable[str]) -> tuple[str, ...]:
    """Sorts class names: numerically if all are integers, else alphabetically.

    The order is the same for every format, so that datasets of different formats agree.
    """
    listed = list(names)
    try:
        return tuple(sorted(listed, key=lambda name: (int(name), name)))
    except ValueError:
        return tuple(sorted(listed))
