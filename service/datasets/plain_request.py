"""Brings the URI of a request about datasets into the plain form that all other code expects."""

from typing import TypeVar

from service.config.datasets import DatasetRequest, LookRequest
from service.errors import InvalidRequest
from workers.data.dataset_roots import OutsideOfRoots, plain_dataset_uri

Request = TypeVar("Request", DatasetRequest, LookRequest)


def plain_request(request: Request) -> Request:
    """Returns the request with plain URIs. Raises InvalidRequest if one of its URIs has no plain form."""
    fields = {name: value for name in ("uri", "base_uri") if (value := getattr(request, name, None)) is not None}
    for name, value in fields.items():
        try:
            fields[name] = plain_dataset_uri(value)
        except OutsideOfRoots as error:
            raise InvalidRequest(name, str(error)) from error
    return type(request).model_validate({**dict(request), **fields})
