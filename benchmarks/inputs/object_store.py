"""A real server of the S3 protocol on loopback, in this process, for inputs in buckets."""

import logging
import os
import uuid
from collections.abc import Mapping
from functools import cache
from typing import Any

import boto3
from moto.server import ThreadedMotoServer

_VARIABLES = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_DEFAULT_REGION": "us-east-1",
}


def put_objects(objects: Mapping[str, bytes]) -> str:
    """Creates a bucket with these objects, by their exact keys, and returns its name."""
    bucket = f"b{uuid.uuid4().hex[:12]}"
    client = _client()
    client.create_bucket(Bucket=bucket)
    for key, content in objects.items():
        client.put_object(Bucket=bucket, Key=key, Body=content)
    return bucket


def s3_uri(place: str) -> str:
    """The URI of BUCKET/PREFIX, with the options that select this server."""
    return f"s3://{place}?endpoint_override={_address()}&scheme=http&region=us-east-1"


@cache
def _address() -> str:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # it logs each request, which helps nobody
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()  # a daemon thread, which ends with this process
    host, port = server.get_host_and_port()
    return f"{host}:{port}"


@cache
def _client() -> Any:
    os.environ.update(_VARIABLES)
    return boto3.client("s3", endpoint_url=f"http://{_address()}")
