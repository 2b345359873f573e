"""Writes a folder that `datasets.load_dataset` reads: Parquet files with an image struct and a ClassLabel, and a card.

The features are in the Parquet files' metadata under `huggingface`, as the datasets library itself writes them
(huggingface.co/docs/hub/datasets-cards, huggingface.co/docs/datasets/about_dataset_features).
"""

import json
from collections.abc import Iterable
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from workers.data.pool_labels import LABEL_SCHEMA
from workers.exporting.pools.labeled_pictures import LabeledPicture
from workers.exporting.pools.webdataset import suffix_of_picture
from workers.specs.label_export import LabelSource

README_FILE = "README.md"
_ROWS_IN_A_GROUP = 100
"""As the datasets library does for pictures: the Hub's viewer reads a row group at a time."""
_GROUP_BYTES = 64 << 20
_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_LEFT_OUT = ("label_name", "shard", "row")
"""The class names are those of the feature `label`; the place in the pool is the picture's path."""
_COLUMNS = [name for name in LABEL_SCHEMA.names if name not in _LEFT_OUT]
_TYPES = {
    pa.string(): "string",
    pa.int32(): "int32",
    pa.float32(): "float32",
    pa.bool_(): "bool",
}


def part_name(shard: int, shards: int) -> str:
    """The path of the Parquet file with the pictures of a shard of the pool, of so many."""
    return f"data/train-{shard:05d}-of-{shards:05d}.parquet"


def write_parquet(target: IO[bytes], pictures: Iterable[LabeledPicture], source: LabelSource) -> int:
    """Writes the pictures, and returns their number. A row group is in memory at a time."""
    schema = _schema(source)
    count, held, group = 0, 0, list[LabeledPicture]()
    with pq.ParquetWriter(target, schema, compression="zstd") as writer:
        for picture in pictures:
            group.append(picture)
            held += len(picture.image)
            if len(group) == _ROWS_IN_A_GROUP or held >= _GROUP_BYTES:
                writer.write_table(_table(group, schema))
                count, held, group = count + len(group), 0, []
        if group:
            writer.write_table(_table(group, schema))
    return count + len(group)


def card(source: LabelSource, rows: int) -> str:
    """README.md: the metadata that the library and the Hub read, and where the labels come from."""
    features = [
        {"name": "image", "dtype": "image"},
        {
            "name": "label",
            "dtype": {"class_label": {"names": {str(index): name for index, name in enumerate(source.classes)}}},
        },
        *({"name": name, **_yaml_type(LABEL_SCHEMA.field(name).type)} for name in _COLUMNS if name != "label"),
    ]
    header = {
        "task_categories": ["image-classification"],
        "tags": ["noisy-student", "pseudo-labels"],
        "dataset_info": {"features": features, "splits": [{"name": "train", "num_examples": rows}]},
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": "data/train-*"}]}],
    }
    text = yaml.safe_dump(header, sort_keys=False, allow_unicode=True)
    teachers = ", ".join(f"`{each}`" for each in source.teachers)
    return (
        f"---\n{text}---\n\n# Pseudo labels of `{source.run_id}`, generation {source.generation}\n\n"
        f"{rows:,} images of the unlabeled dataset `{source.dataset}`. No person has given these labels: {teachers} "
        "did. `confidence` is the label's probability, `copies` how often the student sees the image in an epoch, and "
        "`content_hash` the image's identity.\n"
    )


def _schema(source: LabelSource) -> pa.Schema:
    features: dict[str, Any] = {"image": {"_type": "Image"}}
    fields = [pa.field("image", _IMAGE)]
    for name in _COLUMNS:
        field = LABEL_SCHEMA.field(name)
        if name == "label":
            features[name] = {"names": list(source.classes), "_type": "ClassLabel"}
            field = pa.field(name, pa.int64())
        else:
            features[name] = _feature(field.type)
        fields.append(field)
    metadata = {
        "huggingface": json.dumps({"info": {"features": features}}, ensure_ascii=False),
        "noisy_student.labels": source.model_dump_json(),
    }
    return pa.schema(fields, metadata)


def _feature(kind: pa.DataType) -> dict[str, Any]:
    if pa.types.is_list(kind):
        return {"feature": _feature(kind.value_type), "_type": "List"}
    return {"dtype": _TYPES[kind], "_type": "Value"}


def _yaml_type(kind: pa.DataType) -> dict[str, Any]:
    return {"list": _TYPES[kind.value_type]} if pa.types.is_list(kind) else {"dtype": _TYPES[kind]}


def _table(pictures: list[LabeledPicture], schema: pa.Schema) -> pa.Table:
    images = [
        {
            "bytes": each.image,
            "path": f"{each.row['shard']:06d}-{each.row['row']:08d}.{suffix_of_picture(each.image)}",
        }
        for each in pictures
    ]
    rows = {name: [each.row[name] for each in pictures] for name in _COLUMNS}
    return pa.table({"image": images, **rows}, schema=schema)
