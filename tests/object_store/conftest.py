"""Fixtures: a real server of the S3 protocol on loopback, with a bucket for each test."""

import uuid
from collections.abc import Callable, Iterator

import pytest
from moto.server import ThreadedMotoServer
from pyarrow import fs

from workers.artifact_io import open_filesystem

Address = Callable[..., str]


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"{host}:{port}"
    server.stop()


@pytest.fixture(params=["options of the URI", "environment"])
def bucket(request: pytest.FixtureRequest, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Address:
    """A function that returns the URI of a path in a new bucket. The URI or the environment names the endpoint."""
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    options = f"?endpoint_override={s3_endpoint}&scheme=http&region=us-east-1"
    name = f"b{uuid.uuid4().hex[:12]}"
    fs.FileSystem.from_uri(f"s3://{name}/{options}&allow_bucket_creation=true")[0].create_dir(name)
    if request.param == "environment":
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{s3_endpoint}")
        options = ""
    return lambda *path: f"s3://{name}/{'/'.join(path)}{options}"


def names_below(uri: str) -> list[str]:
    """The names of all objects below a folder, relative to it."""
    filesystem, path = open_filesystem(uri)
    found = filesystem.get_file_info(fs.FileSelector(path, recursive=True, allow_not_found=True))
    return sorted(info.path.removeprefix(f"{path}/") for info in found if info.type == fs.FileType.File)
