"""One function parses all URIs, and rejects those that two readers could understand differently."""

from pathlib import Path

import pytest
from pyarrow import fs

from workers.artifact_io import open_filesystem
from workers.data.dataset_roots import DatasetRoots, OutsideOfRoots, plain_dataset_uri
from workers.plain_uri import NotPlain, folder_of, parse_place


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("/data/x/", "/data/x"),
        ("/a//b/./c", "/a/b/c"),
        ("//a", "/a"),
        ("file:///a%20b/", "/a b"),
        ("FILE://localhost/a%23b", "/a#b"),
        ("file:////etc/passwd", "/etc/passwd"),
        ("S3://b/x/", "s3://b/x"),
        ("gcs://b/x", "gs://b/x"),
        ("gs://anonymous@b/x", "gs://anonymous@b/x"),
        ("s3://b/ä ö", "s3://b/%C3%A4%20%C3%B6"),
        ("s3://b/label=1/a+b", "s3://b/label=1/a+b"),
        ("s3://b/a%252e%252e/b", "s3://b/a%252e%252e/b"),
        ("s3://b/x?", "s3://b/x"),
        (
            "s3://b/x?endpoint_override=127.0.0.1:9000&scheme=http",
            "s3://b/x?endpoint_override=127.0.0.1:9000&scheme=http",
        ),
    ],
)
def test_a_place_has_one_plain_form(written: str, plain: str) -> None:
    assert plain_dataset_uri(written) == plain
    assert plain_dataset_uri(plain) == plain


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("file:///ROOT/link#", "fragment"),
        ("/ROOT/a\x00", "NUL|control"),
        ("file:///ROOT/a%00", "control"),
        ("s3://b/a%0ab", "control"),
        ("/a\x1b[2J", "control"),
        ("/a\udcff", "surrogate"),
        ("file:///a?x", "question mark"),
        ("file://host/a", "host"),
        ("file:///a/%2e%2e/b", r"\.\."),
        ("/a/../b", r"\.\."),
        ("s3://b/%2E%2e/c", r"\.\."),
        ("s3://b/..%5cc", r"\.\."),
        ("s3://b/./c", r"\."),
        ("s3://[x", "bucket"),
        ("s3://b.", "bucket"),
        ("s3://b:9000/x", "bucket"),
        ("s3://", "bucket"),
        ("s3:///x", "bucket"),
        ("s3://b/a//c", "empty part"),
        ("s3://b//c", "empty part"),
        ("s3://b/%2Fc", "empty part"),
        ("s3://b/a%zz", "percent"),
        ("s3://b/a%ff", "UTF-8"),
        ("s3://b/a\\c", "backslash"),
        ("s3://b/x#f", "fragment"),
        ("s3://b/x?a?b", "options"),
        ("s3://b/x?region=eu&region=us", "options"),
        ("s3://b/x?tls_ca_file_path=/etc/shadow", "options"),
        ("s3://key:secret@b/x", "credentials"),
        ("s3://key@b/x", "credentials"),
        ("hdfs://b/x", "no kind of place"),
        ("file:/a", "absolute path"),
        ("C:\\pets", "absolute path"),
    ],
)
def test_what_is_not_plain_is_refused_with_its_reason(written: str, reason: str) -> None:
    with pytest.raises(OutsideOfRoots, match=reason) as refused:
        plain_dataset_uri(written)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("name", ["a b", "a#b", "a%20b", "a?b", "ä", "a%2e%2e", "..a", "a\\b"])
def test_what_is_judged_is_what_is_opened(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    for uri in (str(tmp_path / name), (tmp_path / name).as_uri()):
        filesystem, path = open_filesystem(uri)
        assert (path, parse_place(uri).path) == (str(tmp_path / name),) * 2
        assert filesystem.get_file_info(path).type == fs.FileType.File


def test_a_link_with_a_fragment_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "secret").write_bytes(b"x")
    (tmp_path / "root/link").symlink_to(tmp_path / "secret")
    for uri in (f"file://{tmp_path}/root/link#", f"file://{tmp_path}/root/link", f"{tmp_path}/root/link"):
        with pytest.raises(OutsideOfRoots):
            DatasetRoots((str(tmp_path / "root"),)).check(uri)
    with pytest.raises(NotPlain):
        open_filesystem(f"file://{tmp_path}/root/link#")


@pytest.mark.parametrize(
    ("uri", "folder"),
    [
        ("/a/b.json", "/a"),
        ("/a/", "/"),
        ("/", "/"),
        ("s3://b/x/y%20z.json?scheme=http", "s3://b/x?scheme=http"),
        ("s3://b/x?endpoint_override=h:1/p", "s3://b?endpoint_override=h:1/p"),
        ("s3://b", "s3://b"),
    ],
)
def test_the_folder_around_a_place_keeps_its_options(uri: str, folder: str) -> None:
    assert folder_of(uri) == folder
