"""Parquet by other programs: other types, label names in the schema, labels in folder names."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from tests.support.made_datasets import inspect, labels_read_back, pictures, refusal, write_files, write_parquet
from tests.support.made_shards import picture
from workers.data.shards.shard_readers import read_shard

IMAGES = pictures(4)
LABELS = ["cat", "dog", "cat", "dog"]


@pytest.mark.parametrize("image", [pa.binary_view(), pa.large_binary(), pa.dictionary(pa.int32(), pa.binary())])
@pytest.mark.parametrize("label", [pa.string_view(), pa.dictionary(pa.int8(), pa.large_string())])
def test_every_type_of_bytes_and_text_is_read(tmp_path: Path, image: pa.DataType, label: pa.DataType) -> None:
    is_coded = pa.types.is_dictionary(image)
    images = pa.array(IMAGES, pa.binary()).dictionary_encode() if is_coded else pa.array(IMAGES, image)
    write_parquet(tmp_path / "0.parquet", image=images, label=pa.array(LABELS).cast(label), key=pa.array(LABELS))
    found = inspect(tmp_path)
    assert labels_read_back(found) == LABELS
    assert read_shard(found.manifest, 0).images == IMAGES
    assert len(found.content_hashes or []) == 4


def test_a_struct_of_views_is_read(tmp_path: Path) -> None:
    kind = pa.struct([("bytes", pa.binary_view()), ("path", pa.string_view())])
    images = pa.array([{"bytes": image, "path": None} for image in IMAGES], kind)
    write_parquet(tmp_path / "0.parquet", image=images, label=LABELS)
    assert read_shard(inspect(tmp_path).manifest, 0).images == IMAGES


def hugging_face(path: Path, labels: list[int | None], names: list[str] | dict[str, str]) -> Path:
    """A file whose schema contains the label names, as Hugging Face's `datasets` writes them."""
    features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
    images = [{"bytes": image, "path": None} for image in pictures(len(labels))]
    table = pa.table({"image": images, "label": pa.array(labels, pa.int64())})
    path.parent.mkdir(parents=True, exist_ok=True)
    told = json.dumps({"info": {"features": features}})
    pq.write_table(table.replace_schema_metadata({"huggingface": told}), path)
    return path


def test_labels_have_the_names_that_the_schema_gives_them(tmp_path: Path) -> None:
    hugging_face(tmp_path / "0.parquet", [1, 0, 1], ["dog", "cat", "bird"])
    found = inspect(tmp_path)
    assert found.manifest.classes == ("dog", "cat", "bird")
    assert found.class_counts == {"dog": 1, "cat": 2, "bird": 0}
    assert labels_read_back(found) == ["cat", "dog", "cat"]
    assert found.warnings == ("1 class(es) have no image: bird",)


def test_classes_that_are_asked_for_by_name_or_by_number_are_those_that_come(tmp_path: Path) -> None:
    hugging_face(tmp_path / "0.parquet", [1, 0], ["dog", "cat", "bird"])
    assert labels_read_back(inspect(tmp_path, classes=("cat", "dog"))) == ["cat", "dog"]
    by_number = inspect(tmp_path, classes=("0", "1"))
    assert labels_read_back(by_number) == ["1", "0"]
    assert by_number.warnings[0].startswith("the files name 3 classes, which are not used")


def test_labels_may_be_named_by_number(tmp_path: Path) -> None:
    hugging_face(tmp_path / "0.parquet", [1, 0], {"0": "dog", "1": "cat"})
    assert labels_read_back(inspect(tmp_path)) == ["cat", "dog"]
    hugging_face(tmp_path / "0.parquet", [1, 0], {"5": "dog", "1": "cat"})
    assert labels_read_back(inspect(tmp_path)) == ["1", "0"]


@pytest.mark.parametrize(
    ("labels", "names", "words"),
    [
        ([1, -1], ["dog", "cat"], "0.parquet row 1: has no label"),
        ([1, None], ["dog", "cat"], "0.parquet row 1: has no label"),
        ([1, 7], ["dog", "cat"], "0.parquet row 1: its label is none of the 2 classes that the files name"),
        ([1, 0], ["dog", "dog"], "of the classes that it names there is one that comes twice"),
        ([1, 0], ["dog", "\x1b[31m"], "there is one with a control character"),
        ([1, 0], ["dog", ""], "there is one with no characters"),
    ],
)
def test_a_label_without_a_name_is_refused(
    tmp_path: Path, labels: list[int | None], names: list[str], words: str
) -> None:
    hugging_face(tmp_path / "0.parquet", labels, names)
    assert words in refusal(tmp_path)[1]


def test_files_that_name_other_classes_are_refused(tmp_path: Path) -> None:
    hugging_face(tmp_path / "0.parquet", [0, 1], ["dog", "cat"])
    hugging_face(tmp_path / "1.parquet", [0, 1], ["cat", "dog"])
    assert f"{tmp_path}/1.parquet: names other classes than {tmp_path}/0.parquet" in refusal(tmp_path)[1]


def test_damaged_metadata_of_a_schema_is_no_names(tmp_path: Path) -> None:
    for number, told in enumerate(("no json", "{}", '{"info": 1}', '{"info": {"features": {"label": {"names": 7}}}}')):
        table = pa.table({"image": IMAGES, "label": LABELS}).replace_schema_metadata({"huggingface": told})
        pq.write_table(table, tmp_path / f"{number}.parquet")
        assert labels_read_back(inspect(tmp_path / f"{number}.parquet")) == LABELS


def test_folders_say_the_label_where_an_engine_has_partitioned_by_it(tmp_path: Path) -> None:
    labels = ["cat", "a/b c", "cat", "ü=1"]
    table = pa.table({"image": IMAGES, "label": labels})
    ds.write_dataset(table, tmp_path, format="parquet", partitioning=["label"], partitioning_flavor="hive")
    for uri in (tmp_path, f"file://{tmp_path}"):
        found = inspect(uri, format="parquet") if isinstance(uri, Path) else inspect(uri)
        assert found.class_counts == {"a/b c": 1, "cat": 2, "ü=1": 1}
        assert sorted(labels_read_back(found)) == sorted(labels)


def test_a_partition_without_a_value_has_no_label(tmp_path: Path) -> None:
    write_parquet(tmp_path / "label=cat" / "0.parquet", image=IMAGES)
    write_parquet(tmp_path / "label=__HIVE_DEFAULT_PARTITION__" / "0.parquet", image=IMAGES)
    assert "0.parquet row 0: has no label" in refusal(tmp_path)[1]


def test_images_that_are_only_paths_come_with_a_way_out(tmp_path: Path) -> None:
    write_files(tmp_path, {f"{n}.png": picture(n) for n in range(4)})
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    images = pa.array([{"bytes": None, "path": f"{n}.png"} for n in range(4)], kind)
    path = write_parquet(tmp_path / "0.parquet", image=images, label=LABELS)
    field, message = refusal(path)
    assert field == "image_column"
    assert message.endswith("a path and no bytes: give the format uri_list, or write the images into the file")
    assert labels_read_back(inspect(path, format="uri_list")) == LABELS


def test_a_list_of_hugging_face_has_its_names_too(tmp_path: Path) -> None:
    write_files(tmp_path, {f"{n}.png": picture(n) for n in range(2)})
    path = hugging_face(tmp_path / "0.parquet", [1, 0], ["dog", "cat"])
    table = pq.read_table(path).set_column(0, "image", pa.array(["0.png", "1.png"]))
    pq.write_table(table, path)
    assert labels_read_back(inspect(path, format="uri_list")) == ["cat", "dog"]


@pytest.mark.parametrize("key", ["a\x1b[2J", "\x9b", "a\u202e"])
def test_a_key_that_a_terminal_would_obey_is_refused_and_never_read_as_it_is(tmp_path: Path, key: str) -> None:
    path = write_parquet(tmp_path / "0.parquet", image=IMAGES[:2], key=["x", key])
    field, message = refusal(path, "unlabeled")
    assert field == "key_column"
    assert "0.parquet row 1: its key has a c" in message
    write_parquet(path, image=IMAGES[:2], key=["x", "y"])
    registered = inspect(path, "unlabeled").manifest
    write_parquet(path, image=IMAGES[:2], key=["x", key])
    assert read_shard(registered, 0).keys[1].isprintable()


def test_columns_with_names_that_a_terminal_would_obey_are_shown_escaped(tmp_path: Path) -> None:
    write_parquet(tmp_path / "0.parquet", row_group_size=4, **{"\x1b[2J": [1, 2]})
    assert refusal(tmp_path)[1].isprintable()


def test_a_table_of_two_thousand_columns_is_refused_in_few_words(tmp_path: Path) -> None:
    write_parquet(tmp_path / "0.parquet", row_group_size=4, **{f"column {n}": [n] for n in range(2000)})
    message = refusal(tmp_path)[1]
    assert "and 1970 more" in message
    assert len(message) < 2000


def test_an_empty_file_among_others_is_called_empty(tmp_path: Path) -> None:
    write_parquet(tmp_path / "0.parquet", image=IMAGES)
    write_files(tmp_path, {"1.parquet": b""})
    assert refusal(tmp_path, "unlabeled")[1].endswith("1.parquet: not a readable Parquet file: it is empty")


def test_columns_are_guessed_however_they_are_capitalised(tmp_path: Path) -> None:
    write_parquet(tmp_path / "0.parquet", Image=IMAGES, Thumbnail=IMAGES, Label=LABELS)
    found = inspect(tmp_path)
    assert (found.manifest.image_column, found.manifest.label_column) == ("Image", "Label")
    assert labels_read_back(found) == LABELS
