"""Lists of URIs as datasets: what is read from them, how they are split into shards, what is rejected."""

import errno
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.datasets.formats import uri_list_source
from service.datasets.inspection import DatasetRequest, InspectedDataset, inspect_dataset
from service.errors import InvalidRequest
from tests.support.made_shards import picture
from workers.artifact_io import open_filesystem
from workers.data.errors import StoreReadError
from workers.data.images.decode import content_hash
from workers.data.shards import uri_lists, whole_files
from workers.data.shards.shard_readers import read_shard
from workers.data.shards.uri_lists import fetch, resolved
from workers.specs.hygiene import BrokenKind


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six pictures, a/0.png to a/5.png."""
    (tmp_path / "a").mkdir()
    for number in range(6):
        (tmp_path / "a" / f"{number}.png").write_bytes(picture(number))
    return tmp_path


def inspect(uri: Path, role: str = "unlabeled", **fields: object) -> InspectedDataset:
    request = DatasetRequest.model_validate({"name": "d", "role": role, "uri": str(uri), **fields})
    return inspect_dataset(request, "ds-1", str(uri.parent / "parts"))


def refusal(uri: Path, role: str = "unlabeled", **fields: object) -> tuple[str, str]:
    with pytest.raises(InvalidRequest) as caught:
        inspect(uri, role, **fields)
    return caught.value.field, caught.value.message


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def rows_of(found: InspectedDataset) -> list[tuple[str, bytes, str | None]]:
    """The key, image and class name of every row."""
    rows: list[tuple[str, bytes, str | None]] = []
    for index in range(len(found.manifest.shards)):
        shard = read_shard(found.manifest, index)
        labels: Sequence[int | None] = shard.labels or [None] * len(shard.keys)
        names = [None if label is None else found.manifest.classes[label] for label in labels]
        rows += list(zip(shard.keys, shard.images, names, strict=True))
    return rows


def test_a_text_file_lists_a_uri_a_line(folder: Path) -> None:
    (folder / "lists").mkdir()
    listed = write(
        folder / "list.txt", f"a/0.png\r\n\n  {folder}/a/1.png \nlists/../a/2.png\nfile://{folder}/a/3.png\n"
    )
    found = inspect(listed)
    assert (found.manifest.format, found.manifest.rows, found.manifest.classes) == ("uri_list", 4, ())
    assert [image for _, image, _ in rows_of(found)] == [picture(number) for number in range(4)]
    assert rows_of(found)[0][0] == "a/0.png"
    assert found.content_hashes == [content_hash(picture(number)) for number in range(4)]


def parquet_list(path: Path, rows: list[dict[str, object]]) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_tables_give_uri_label_and_key(folder: Path, suffix: str) -> None:
    rows = [{"name": f"n{n}", "label": n % 2, "url": f"a/{n}.png"} for n in range(4)]
    listed = folder / f"list.{suffix}"
    match suffix:
        case "parquet":
            parquet_list(listed, rows)
        case "jsonl":
            write(listed, "\n".join(json.dumps(row) for row in rows))
        case _:
            comma = {"csv": ",", "tsv": "\t"}[suffix]
            lines = [comma.join(map(str, row.values())) for row in rows]
            write(listed, "\ufeff" + "\n".join([comma.join(rows[0]), *lines]))
    found = inspect(listed, "labeled", key_column="name", format="uri_list")
    assert found.class_counts == {"0": 2, "1": 2}
    assert rows_of(found) == [(f"n{n}", picture(n), str(n % 2)) for n in range(4)]


def test_columns_can_be_named(folder: Path) -> None:
    listed = write(folder / "list.csv", 'what,where\ncat,a/0.png\n"dog, big",a/1.png\n')
    found = inspect(listed, "labeled", image_column="where", label_column="what")
    assert [(key, name) for key, _, name in rows_of(found)] == [("a/0.png", "cat"), ("a/1.png", "dog, big")]


def test_a_folder_of_lists_is_read_whole(folder: Path) -> None:
    (folder / "lists" / "more").mkdir(parents=True)
    write(folder / "lists" / "1.txt", "../a/0.png\n")
    write(folder / "lists" / "more" / "2.txt", "../../a/1.png\n")
    found = inspect(folder / "lists", format="uri_list")
    assert [image for _, image, _ in rows_of(found)] == [picture(0), picture(1)]


def test_a_long_list_is_cut_into_shards_that_mix_a_stretch(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uri_list_source, "FILES_PER_SHARD", 3)
    monkeypatch.setattr(uri_list_source, "_STRETCH", 6)
    listed = write(folder / "list.csv", "uri,label\n" + "".join(f"a/{n % 6}.png,{n // 5}\n" for n in range(10)))
    found = inspect(listed, "labeled")
    labels = [read_shard(found.manifest, index).labels for index in range(len(found.manifest.shards))]
    assert [shard.rows for shard in found.manifest.shards] == [3, 3, 2, 2]
    assert labels == [[0, 0, 0], [0, 0, 1], [1, 1], [1, 1]]
    assert len({shard.uri for shard in found.manifest.shards}) == 4


def test_files_that_cannot_be_read_are_broken_images_and_no_failure(folder: Path) -> None:
    (folder / "a" / "folder").mkdir()
    lines = ["a/0.png", "a/gone.png", "ftp://host/1.png", "a/folder", "a/1.png", "s3:///", "a/2.png", "a/3.png"]
    found = inspect(write(folder / "list.txt", "\n".join(lines)))
    shard = read_shard(found.manifest, 0)
    assert [row for row, image in enumerate(shard.images) if not image] == sorted(shard.unreadable) == [1, 2, 3, 5]
    assert {error.kind for error in shard.unreadable.values()} == {BrokenKind.UNREADABLE}
    assert "there is no such file" in shard.unreadable[1].reason
    assert "ftp://, a scheme that is not read" in shard.unreadable[2].reason
    assert shard.unreadable[3].reason == "it is a folder"


AWAY = "AWS Error NETWORK_CONNECTION during HeadObject operation: curlCode: 28, Timeout was reached"


def test_a_storage_that_goes_on_failing_is_a_failure_of_the_store(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def one_is_refused(uri: str) -> tuple[object, str]:
        if uri.endswith("1.png"):
            raise OSError(AWAY)
        return open_filesystem(uri)

    listed = write(folder / "list.txt", "a/0.png\na/1.png\n")
    found = inspect(listed)
    monkeypatch.setattr(uri_lists, "open_filesystem", one_is_refused)
    monkeypatch.setattr(uri_lists, "_WAITS_SECONDS", ())
    with pytest.raises(StoreReadError, match=r"a/1\.png: the storage does not give it: AWS Error NETWORK"):
        read_shard(found.manifest, 0)
    assert refusal(listed)[1].endswith(AWAY)


def test_what_the_storage_refuses_once_is_asked_for_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: Counter[str] = Counter()

    def every_other_first_time(uri: str) -> tuple[object, str]:
        asked[uri] += 1
        if int(uri[-5]) % 2 and asked[uri] == 1:
            raise OSError(errno.EIO, "Input/output error")
        return open_filesystem(uri)

    monkeypatch.setattr(uri_lists, "open_filesystem", every_other_first_time)
    waited: list[float] = []
    fetched = fetch([str(folder / "a" / f"{number}.png") for number in range(6)], sleep=waited.append)
    assert fetched.images == [picture(number) for number in range(6)]
    assert fetched.unreadable == {}
    assert waited == [0.5]
    assert sorted(asked.values()) == [1, 1, 1, 2, 2, 2]


@pytest.mark.parametrize(
    "error",
    [
        PermissionError(errno.EACCES, "Permission denied"),
        OSError(errno.ENAMETOOLONG, "File name too long"),
        OSError("AWS Error ACCESS_DENIED during HeadObject operation: No response body."),
        OSError("google::cloud::Status(PERMISSION_DENIED: no access)"),
    ],
)
def test_what_another_try_will_not_get_either_is_a_broken_image_at_once(
    error: OSError, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(uri: str) -> None:
        raise error

    monkeypatch.setattr(uri_lists, "open_filesystem", refuse)
    waited: list[float] = []
    fetched = fetch(["1.png"], sleep=waited.append)
    assert fetched.unreadable[0].kind is BrokenKind.UNREADABLE
    assert waited == []


def test_an_entry_that_is_far_too_large_is_not_read_whole(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole_files, "MOST_IMAGE_BYTES", 50)
    fetched = fetch([str(folder / "a" / "0.png")])
    assert (fetched.images, fetched.unreadable[0].kind) == ([b""], BrokenKind.TOO_LARGE)


@pytest.mark.parametrize(
    ("entry", "list_uri", "expected"),
    [
        ("1.jpg", "/data/list.txt", "/data/1.jpg"),
        ("../x/1.jpg", "/data/lists/list.txt", "/data/x/1.jpg"),
        ("/other/1.jpg", "/data/list.txt", "/other/1.jpg"),
        ("s3://b/1.jpg", "/data/list.txt", "s3://b/1.jpg"),
        ("1 2#.jpg", "s3://b/lists/l.csv?scheme=http", "s3://b/lists/1%202%23.jpg?scheme=http"),
        ("../../../1.jpg", "s3://b/lists/l.csv", "s3://b/1.jpg"),
        ("s3://c/1.jpg", "s3://b/l.csv?scheme=http", "s3://c/1.jpg?scheme=http"),
        ("s3://c/1.jpg?region=x", "s3://b/l.csv?scheme=http", "s3://c/1.jpg?region=x"),
        ("gs://c/1.jpg", "s3://b/l.csv?scheme=http", "gs://c/1.jpg"),
    ],
)
def test_where_an_entry_lies(entry: str, list_uri: str, expected: str) -> None:
    assert resolved(entry, list_uri) == expected


@pytest.mark.parametrize(
    ("name", "text", "role", "field", "words"),
    [
        ("l.txt", "\n\n", "unlabeled", "uri", "lists no URI"),
        ("l.txt", "a/0.png\n", "labeled", "label_column", "no column is known to hold the labels"),
        (
            "l.csv",
            "x,y\na/0.png,1\n",
            "unlabeled",
            "image_column",
            "no column is known to hold the URIs; it has 2 column(s)",
        ),
        ("l.csv", "uri,label\na/0.png,1\na/1.png\n", "labeled", "uri", "l.csv line 3: has not the 2 fields"),
        (
            "l.csv",
            "uri,label\na/0.png,1\n,2\n",
            "labeled",
            "image_column",
            "l.csv line 3: there is no URI in its column",
        ),
        ("l.csv", "uri,label\na/0.png,1\na/1.png,\n", "labeled", "label_column", "l.csv line 3: has no label"),
        ("l.jsonl", '{"uri": "a/0.png"}\nno\n', "unlabeled", "uri", "line 2: not JSON"),
        ("l.jsonl", "[1]\n", "unlabeled", "uri", "line 1: not a JSON object"),
    ],
)
def test_what_cannot_work_is_refused_by_file_and_row(
    folder: Path, name: str, text: str, role: str, field: str, words: str
) -> None:
    found = refusal(write(folder / name, text), role)
    assert found[0] == field
    assert words in found[1]


def test_a_list_that_is_not_utf8_is_refused(folder: Path) -> None:
    (folder / "l.txt").write_bytes(b"a/0.png\n\xff\xfe\n")
    assert "not UTF-8 text" in refusal(folder / "l.txt")[1]


def test_a_parquet_list_that_is_not_utf8_is_refused(folder: Path) -> None:
    raw = pa.array([b"a/caf\xe9.png"], pa.binary())
    pq.write_table(pa.table({"uri": pa.Array.from_buffers(pa.string(), 1, raw.buffers())}), folder / "list.parquet")
    field, message = refusal(folder / "list.parquet", format="uri_list")
    assert field == "uri"
    assert "list.parquet" in message
    assert "not UTF-8" in message


def test_a_parquet_file_without_images_hints_at_lists(folder: Path) -> None:
    listed = parquet_list(folder / "l.parquet", [{"uri": "a/0.png"}])
    assert "uri_list" in refusal(listed)[1]
    assert inspect(listed, format="uri_list").manifest.rows == 1


def test_texts_beside_images_do_not_make_a_folder_a_list(folder: Path) -> None:
    write(folder / "a" / "README.txt", "six pictures")
    assert inspect(folder / "a").manifest.format == "image_folder"
