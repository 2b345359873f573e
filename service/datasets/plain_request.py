"""Brings the URI of a request about datasets into the plain form that all other code expects."""

from typing import TypeVar

from service.config.datasets import DatasetRequest, LookRequest
from service.errors import InvalidRequest
from workers.data.dataset_roots import OutsideOfRoots, plain_dataset_uri

Request = TypeVar("Request", DatasetRequest, LookRequest)


def plain_request(request: Request) -> Request:
    """Returns the request with a plain URI. Raises InvalidRequest if its URI has no plain form."""
    try:
        uri = plain_dataset_uri(request.uri)
    except OutsideOfRoots as error:
        raise InvalidRequest("uri", str(error)) from error
    return type(request).model_validate({**dict(request), "uri": uri})
