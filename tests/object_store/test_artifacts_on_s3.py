"""Artifacts in a bucket: complete or absent, listed, and named with the options at the end of the URI."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import boto3
import pytest
from pyarrow import fs

from tests.at_once import LONG_SECONDS
from tests.object_store.conftest import Address, names_below
from workers.artifact_io import (
    delete_folder,
    exists,
    join_uri,
    list_files,
    name_of,
    open_filesystem,
    read_bytes,
    read_bytes_if_there,
    write_bytes,
)


def test_what_is_written_is_read_listed_and_deleted(bucket: Address) -> None:
    root = bucket("artifacts")
    for content in (b"first", b"second"):
        write_bytes(join_uri(root, "runs/r", "spec.json"), content)
    assert read_bytes(join_uri(root, "runs", "r", "spec.json")) == b"second"
    assert list_files(join_uri(root, "runs/r")) == {"spec.json": 6}
    assert names_below(root) == ["runs/r/spec.json"]  # no temporary names, no markers of folders
    assert exists(join_uri(root, "runs"))
    delete_folder(join_uri(root, "runs"))
    delete_folder(join_uri(root, "runs"))
    assert names_below(root) == []


def test_what_is_not_there_is_not_found(bucket: Address) -> None:
    root = bucket("artifacts")
    assert read_bytes_if_there(join_uri(root, "none")) is None
    with pytest.raises(FileNotFoundError):
        read_bytes(join_uri(root, "none"))
    assert not exists(join_uri(root, "none"))
    assert list_files(join_uri(root, "none")) == {}


def test_a_writer_that_is_killed_leaves_what_was_there(bucket: Address, s3_endpoint: str) -> None:
    uri = bucket("artifacts", "model.safetensors")
    code = f"from workers.artifact_io import write_bytes; write_bytes({uri!r}, b'x' * (96 << 20))"
    for _ in range(5):  # a writer may finish before it was seen at work
        write_bytes(uri, b"whole")
        writer = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(Path.cwd())})
        deadline = time.monotonic() + LONG_SECONDS
        while writer.poll() is None and time.monotonic() < deadline and not _is_uploading(uri, s3_endpoint):
            time.sleep(0.01)
        writer.kill()
        if writer.wait(timeout=LONG_SECONDS) == -signal.SIGKILL:
            break
    assert writer.returncode == -signal.SIGKILL
    assert read_bytes(uri) == b"whole"


def _is_uploading(uri: str, endpoint: str) -> bool:
    """Whether the server holds parts of an incomplete upload."""
    endpoint = (
        os.environ.get("AWS_ENDPOINT_URL") or "http://" + uri.partition("endpoint_override=")[2].partition("&")[0]
    )
    bucket = open_filesystem(uri)[1].partition("/")[0]
    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
    for upload in client.list_multipart_uploads(Bucket=bucket).get("Uploads", []):
        parts = client.list_parts(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
        if parts.get("Parts"):
            return True
    return False


def test_a_bucket_is_opened_once(bucket: Address) -> None:
    first, path = open_filesystem(bucket("a%20b", "c.jpg"))
    assert open_filesystem(bucket("d"))[0] is first
    assert isinstance(first, fs.S3FileSystem)
    assert path.endswith("/a b/c.jpg")


def test_options_of_a_uri_stay_at_its_end() -> None:
    assert join_uri("s3://b/root/?scheme=http", "runs", "r") == "s3://b/root/runs/r?scheme=http"
    assert join_uri("/data/what?", "runs") == "/data/what?/runs"
    assert name_of("s3://b/a.parquet?endpoint_override=http://h:1") == "a.parquet"
    assert name_of("/data/a?b.parquet") == "a?b.parquet"


def test_google_storage_without_credentials_says_so_soon() -> None:
    with pytest.raises(OSError, match=r"(?i)token|credential|authenticat"):
        exists("gs://bucket/folder?retry_limit_seconds=1")
