"""What a look finds in the files of one part, in a format that registration reads. It reads only some of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import islice

import pyarrow as pa

from service.config.datasets import EXPORT_FORMATS, DatasetRequest, RequestedFormat
from service.datasets.exports.export_source import chosen_export, listed_export
from service.datasets.formats.arrow_source import ArrowSource, open_arrow_source
from service.datasets.formats.hugging_face import names_beside
from service.datasets.formats.parquet_source import ParquetSource, open_parquet_source
from service.datasets.formats.table_columns import NamesOf
from service.datasets.inspection.classes import class_order
from service.datasets.looks.lists import Findings, findings_in_lists, order_of
from service.datasets.places.location import Location
from service.errors import InvalidRequest
from workers.data.dataset_roots import DatasetRoots
from workers.data.errors import BrokenImage
from workers.data.plain_values import shown
from workers.data.shards import arrow_shards, parquet_shards, tar_shards

_MOST_FILES = 32
_MOST_ROWS = 20_000


def findings_in(request: DatasetRequest, location: Location, whole: Location, roots: DatasetRoots) -> Findings:
    """Looks at the files of `location`, all of the request's format, and finds labels if there are any.

    `whole` is the place that `location` is a part of. Raises InvalidRequest or ShardReadError for what cannot be read.
    """
    assert request.format is not None
    if request.format in ("parquet", "arrow"):
        return _in_tables(request, location, names_beside((location, whole)))
    if request.format in EXPORT_FORMATS:
        return _in_export(request, location, roots)
    if request.format == "uri_list":
        return findings_in_lists(request, location, whole, roots)
    return _LOOKS[request.format](request, location)


def _in_images(_: DatasetRequest, location: Location) -> Findings:
    names = [file.name for file in location.files]
    flat = [name for name in names if "/" not in name]
    classes = class_order({name.partition("/")[0] for name in names if "/" in name})
    if len(classes) < 2 or flat:
        warnings: tuple[str, ...] = ()
        if classes:
            both = f"{len(flat):,} image(s) lie beside the folder(s)" if flat else "there is one folder only"
            warnings = (f"{both}, so the folders are not taken for classes",)
        return Findings(len(names), location.is_complete, warnings=warnings)
    return Findings(
        len(names), location.is_complete, classes, "the names of the folders", warnings=_deeper(names, classes)
    )


def _deeper(names: Sequence[str], classes: Sequence[str]) -> tuple[str, ...]:
    """Says which level is taken for the class, if there are several."""
    inner = {name.split("/")[-2] for name in names if name.count("/") > 1}
    if not inner:
        return ()
    listed = ", ".join(shown(name, 40) for name in sorted(inner)[:5])
    return (
        f"the folders are nested: the {len(classes)} of the first level are taken for the classes, not the "
        f"{len(inner)} in them ({listed}{', ...' if len(inner) > 5 else ''}); set class_level where those are meant",
    )


def _in_tables(request: DatasetRequest, location: Location, names_of: NamesOf) -> Findings:
    files = location.files[:_MOST_FILES]
    source = _opened_table(request, location, names_of)
    first = source.shards[0]
    if first.rows and not source.read_rows(0, [0])[0]:
        raise InvalidRequest("image_column", f"{first.uri} row 0: has no image in `{shown(source.image_column)}`")
    if first.rows and isinstance(image := source.read_rows(0, [0])[0], BrokenImage):
        raise InvalidRequest("image_column", f"{first.uri} row 0: {image}")
    if request.format == "parquet":
        with parquet_shards.open_parquet(first.uri) as file:
            columns = _columns(file.schema_arrow)
    else:
        with arrow_shards.open_arrow(first.uri) as arrow_file:
            columns = _columns(arrow_file.schema)
    classes: tuple[str, ...] = source.class_names or ()
    classes_from: str | None = None
    if classes:
        classes_from = f"the names that the files give to the numbers in `{source.label_column}` (Hugging Face)"
    elif source.label_column is not None:
        classes = _labels_in(source.label_names, [shard.rows for shard in source.shards])
        classes_from = f"the values of `{source.label_column}`, {order_of(classes)}"
    fields = {"image_column": source.image_column}
    if source.label_column is not None:
        fields["label_column"] = source.label_column
    return Findings(
        images=sum(shard.rows for shard in source.shards),
        images_are_all=location.is_complete and len(files) == len(location.files),
        classes=classes,
        classes_from=classes_from,
        columns=columns,
        fields=tuple(fields.items()),
        warnings=source.warnings,
    )


def _opened_table(request: DatasetRequest, location: Location, names_of: NamesOf) -> ParquetSource | ArrowSource:
    """Opens the first files of the part: with labels, or without if no column holds them."""
    files = location.files[:_MOST_FILES]
    opened = open_parquet_source if request.format == "parquet" else open_arrow_source
    try:
        return opened(request.model_copy(update={"role": "labeled"}), location, files, names_of)
    except InvalidRequest as error:
        if error.field != "label_column":
            raise
        without_labels = opened(request.model_copy(update={"role": "unlabeled"}), location, files, names_of)
        return replace(without_labels, warnings=(error.message,))


def _labels_in(labels: Callable[[int], Sequence[str | None]], rows_of_shards: Sequence[int]) -> tuple[str, ...]:
    """The distinct labels of the first shards, up to about _MOST_ROWS rows, but of one shard at least."""
    found: set[str] = set()
    seen = 0
    for index, rows in enumerate(rows_of_shards):
        found |= {name for name in labels(index) if name is not None}
        seen += rows
        if seen >= _MOST_ROWS:
            break
    return class_order(found)


def _columns(schema: pa.Schema) -> tuple[tuple[str, str], ...]:
    return tuple((shown(field.name, 100), shown(str(field.type), 100)) for field in list(schema)[:100])


def _in_export(request: DatasetRequest, location: Location, roots: DatasetRoots) -> Findings:
    labeled = request.model_copy(update={"role": "labeled"})
    export = chosen_export(location, labeled, roots)
    assert export is not None
    listed = listed_export(export, labeled, roots)
    found = class_order({entry.label for entry in listed.entries if entry.label is not None})
    return Findings(
        images=len(listed.entries),
        images_are_all=True,
        classes=listed.classes or found,
        classes_from="the classes that the export lists" if listed.classes else f"the labels, {order_of(found)}",
        warnings=listed.warnings,
    )


def _in_tars(_: DatasetRequest, location: Location) -> Findings:
    labels: list[str | None] = []
    files = 0
    for file in location.files[:_MOST_FILES]:
        with tar_shards.open_tar(location.uri_of(file)) as stream:
            walk = tar_shards.Walk(with_labels=True)
            here = [sample.label for sample in islice(tar_shards.iterate_samples(stream, walk), _MOST_ROWS)]
        labels += here
        if len(here) == _MOST_ROWS:
            break
        files += 1
    classes = class_order({name for name in labels if name is not None})
    return Findings(
        images=len(labels),
        images_are_all=location.is_complete and files == len(location.files),
        classes=classes,
        classes_from="the .cls or .json members of the samples" if classes else None,
    )


_LOOKS: Mapping[RequestedFormat, Callable[[DatasetRequest, Location], Findings]] = {
    "image_folder": _in_images,
    "webdataset": _in_tars,
}
