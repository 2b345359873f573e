"""Lists by other programs: entries that cannot be opened, missing headers, unusual values."""

import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.made_datasets import inspect, labels_read_back, refusal, write_files
from tests.support.made_shards import picture
from workers.data.dataset_roots import DatasetRoots
from workers.data.shards.shard_readers import read_shard


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four pictures, a/0.png to a/3.png, and one without a suffix."""
    write_files(tmp_path, {f"a/{n}.png": picture(n) for n in range(4)} | {"a/plain": picture(5)})
    return tmp_path


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("entry", "kind"),
    [
        ("https://host/secret/1.jpg", "an https address, and the web is not read: download the images"),
        ("HTTP://host/secret.jpg", "an http address"),
        ("C:\\secret\\1.jpg", "a path of Windows"),
        ("d:/secret/1.jpg", "a path of Windows"),
        ("\\\\server\\secret\\1.jpg", "a path of Windows"),
        ("/data/local-files/?d=secret/1.jpg", "an address of Label Studio's local files"),
        ("~/secret/1.jpg", "a path that begins with ~"),
        ("data:image/png;base64,secret", "a data: URI"),
        ("hdfs://secret/1.jpg", "hdfs://, a scheme that is not read"),
        ("dbfs:/secret/1.jpg", "dbfs://, a scheme that is not read"),
        ("S3A://secret/1.jpg", "s3a://, a scheme that is not read"),
        ("secret://1.jpg", "a URI of a scheme that is not read"),
        ("file://secret/1.jpg", "a file:// URI of another machine"),
    ],
)
def test_an_entry_that_can_never_be_opened_is_refused_by_line_and_kind(folder: Path, entry: str, kind: str) -> None:
    listed = write(folder / "list.txt", f"\n{entry}\na/0.png\n{entry}\n")
    field, message = refusal(listed, "unlabeled")
    assert field == "uri"
    assert message.startswith(f"2 of 3 entries cannot be opened, the first at {listed} line 2: each is {kind}")
    assert "secret" not in message
    kept = inspect(write(folder / "few.txt", f"{entry}\na/0.png\na/1.png\n"), "unlabeled")
    assert kept.warnings[0].startswith(f"1 of 3 entries cannot be opened, the first at {folder}/few.txt line 1: each")
    assert kind in read_shard(kept.manifest, 0).unreadable[0].reason


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("secret0001", "its name has no suffix of a picture, as an id has none"),
        ("a/secret.jpg", "there is no such file; paths are relative to the folder of the list"),
        ("images\\secret.jpg", "it has backslashes"),
        ("a/secret.jpg 3", "it seems to have several fields"),
        ("a", "it is a folder"),
        ("pipe", "it is a pipe, a socket or a device"),
    ],
)
def test_an_entry_that_is_not_there_is_told_apart(folder: Path, entry: str, reason: str) -> None:
    os.mkfifo(folder / "pipe")
    field, message = refusal(write(folder / "list.txt", f"{entry}\n"), "unlabeled")
    assert field == "uri"
    assert message.startswith(f"1 of 1 sampled images cannot be decoded, the first at {folder}/list.txt line 1: ")
    assert reason in message
    assert "secret" not in message


def test_each_reason_comes_with_its_first_line(folder: Path) -> None:
    field, message = refusal(write(folder / "list.txt", "a/0.png\nid1\nid2\na\n"), "unlabeled")
    assert field == "uri"
    assert "list.txt line 2: there is no such file; its name has no suffix" in message
    assert "and at" in message
    assert "list.txt line 4: it is a folder (1 so)" in message


def test_the_place_of_an_entry_outside_of_the_roots_is_not_repeated(folder: Path, tmp_path: Path) -> None:
    from service.datasets.inspection import DatasetRequest, inspect_dataset
    from service.errors import InvalidRequest

    listed = write(folder / "list.txt", "a/0.png\n/etc/secret\n")
    request = DatasetRequest(name="n", role="unlabeled", uri=str(listed))
    with pytest.raises(InvalidRequest, match=r"list\.txt line 2: lies outside of the places") as caught:
        inspect_dataset(request, "ds-1", str(tmp_path / "parts"), roots=DatasetRoots((str(tmp_path),)))
    assert "secret" not in caught.value.message


def entries(*names: str) -> str:
    return "".join(f"{name}\n" for name in names)


def test_a_csv_of_one_column_without_a_head_loses_no_image(folder: Path) -> None:
    lines = [f"a/{n % 4}.png" for n in range(24)]
    assert inspect(write(folder / "l.csv", entries(*lines)), "unlabeled").manifest.rows == 24
    assert inspect(write(folder / "h.csv", entries("uri", *lines)), "unlabeled").manifest.rows == 24
    assert inspect(write(folder / "o.csv", entries("pictures", *lines)), "unlabeled").manifest.rows == 24
    assert inspect(write(folder / "b.csv", "\ufeff" + entries(*lines)), "unlabeled").manifest.rows == 24
    assert inspect(write(folder / "q.csv", entries(*(f'"{line}"' for line in lines))), "unlabeled").manifest.rows == 24


def test_a_first_line_that_may_be_either_is_asked_for(folder: Path) -> None:
    listed = write(folder / "a" / "l.csv", entries("plain", "plain", "plain"))
    field, message = refusal(listed, "unlabeled")
    assert field == "image_column"
    assert "l.csv line 1: may be the name of the column or the first image" in message
    assert inspect(listed, "unlabeled", image_column="plain").manifest.rows == 2
    listed.rename(folder / "a" / "l.txt")
    assert inspect(folder / "a" / "l.txt", "unlabeled").manifest.rows == 3


def test_a_table_without_a_head_is_refused(folder: Path) -> None:
    field, message = refusal(write(folder / "l.csv", "a/0.png,cat\na/1.png,dog\n"))
    assert field == "uri"
    assert "l.csv line 1: is no head: begin with a line of column names, as uri,label" in message


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_a_csv_of_another_country_is_read(folder: Path, mark: str) -> None:
    found = inspect(write(folder / "l.csv", f"Path{mark}Label\na/0.png{mark}cat\na/1.png{mark}dog\n"))
    assert labels_read_back(found) == ["cat", "dog"]


def test_columns_are_never_told_of_a_text_file(folder: Path) -> None:
    secret = write(folder / "passwd.csv", "root:x:0:0:secret:/root:/bin/bash\nsecret,2\n")
    for fields in ({}, {"image_column": "x"}, {"label_column": "y"}, {"format": "uri_list"}):
        assert "secret" not in refusal(secret, **fields)[1].replace(str(secret), "")


@pytest.mark.parametrize(
    ("label", "kind"),
    [({"name": "cat"}, "an object"), (["cat"], "a list"), (1.5, "a number with a fraction"), (True, "true or false")],
)
def test_a_label_that_is_no_text_is_refused_by_line(folder: Path, label: object, kind: str) -> None:
    rows = [{"uri": "a/0.png", "label": "dog"}, {"uri": "a/1.png", "label": label}]
    field, message = refusal(write(folder / "l.jsonl", entries(*map(json.dumps, rows))))
    assert field == "label_column"
    assert message.endswith(f"l.jsonl line 2: its label is {kind}, it must be a text or a whole number")


@pytest.mark.parametrize("uri", [{"bytes": "x"}, ["a/0.png"], 7])
def test_a_uri_that_is_no_text_is_refused_by_line(folder: Path, uri: object) -> None:
    field, message = refusal(write(folder / "l.jsonl", json.dumps({"uri": uri}) + "\n"), "unlabeled")
    assert field == "image_column"
    assert "l.jsonl line 1: its URI is " in message


def test_images_of_hugging_face_that_are_only_paths_are_a_list(folder: Path) -> None:
    images = [{"bytes": None, "path": f"a/{n}.png"} for n in range(4)]
    pq.write_table(pa.table({"image": images, "label": [0, 1, 0, 1]}), folder / "l.parquet")
    found = inspect(folder / "l.parquet", format="uri_list")
    assert (found.sampled_bad, labels_read_back(found)) == (0, ["0", "1", "0", "1"])
    write(folder / "l.jsonl", entries(*(json.dumps({"image": image}) for image in images)))
    assert inspect(folder / "l.jsonl", "unlabeled").sampled_bad == 0


@pytest.mark.parametrize(
    "text", ["a/\x1b[2J.png", "a/\x9b.png", "a/\x00.png", "a/\u202e.png", "a/\ud800.png", "a" * 5000]
)
@pytest.mark.parametrize("field", ["uri", "key"])
def test_a_place_or_a_key_that_cannot_be_shown_is_refused_by_line(folder: Path, text: str, field: str) -> None:
    rows = [{"uri": "a/0.png", "key": "k"}, {"uri": "a/0.png", "key": "k"} | {field: text}]
    listed = write(folder / "l.jsonl", entries(*map(json.dumps, rows)))
    _, message = refusal(listed, "unlabeled", key_column="key")
    assert f"{listed} line 2: the " in message
    assert message.isprintable()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("l.jsonl", b'{"uri": ' + b"[" * 100_000, "line 1: is nested too deeply"),
        ("l.jsonl", b'{"uri": ' + b"9" * 10_000 + b"}", "line 1: not JSON"),
        ("l.txt", b"a/0.png\n" + b"x" * (1 << 21), "line 2: is longer than"),
        ("l.csv", b"uri\n" + b"x" * (1 << 18), "line 2: field larger than field limit"),
        ("l.csv", b"uri,uri\na,b\n", "line 1: two columns have the same name 'uri'"),
        ("l.csv", b"uri,secret,secret\na,b,c\n", "line 1: two columns have the same name"),
        ("l.txt", "a/0.png\n".encode("utf-16"), "line 1: not UTF-8 text: it is UTF-16"),
        ("l.txt", b"a/0.png\na/caf\xe9.png\n", "line 2: not UTF-8 text"),
    ],
)
def test_a_line_that_no_reader_takes_is_named(folder: Path, name: str, content: bytes, words: str) -> None:
    assert f"{name} {words}" in refusal(write(folder / name, content), "unlabeled")[1]


def test_old_line_ends_and_fields_over_several_lines_are_read(folder: Path) -> None:
    assert inspect(write(folder / "l.txt", "a/0.png\ra/1.png\r"), "unlabeled").manifest.rows == 2
    found = inspect(write(folder / "l.csv", 'uri,note,label\r\na/0.png,"two\r\nlines",cat\r\na/1.png,x,dog\r\n'))
    assert labels_read_back(found) == ["cat", "dog"]


@pytest.mark.parametrize("label", ["do\\ng", "\\u009b", "\\ud800"])
def test_a_label_that_cannot_be_shown_is_refused_by_the_line_that_it_begins_on(folder: Path, label: str) -> None:
    rows = f'{{"uri": "a/0.png", "label": "cat"}}\n\n{{"uri": "a/1.png", "label": "{label}"}}\n'
    field, message = refusal(write(folder / "l.jsonl", rows))
    assert field == "label_column"
    assert f"{folder}/l.jsonl line 3: its label has " in message
    _, message = refusal(write(folder / "l.csv", 'uri,label\na/0.png,cat\n\na/1.png,"do\ng"\n'))
    assert f"{folder}/l.csv line 4: its label has a control character (U+000A)" in message
