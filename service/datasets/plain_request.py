"""Brings the URI of a dataset request into the plain form that all other code expects."""

from service.config.datasets import DatasetRequest
from service.errors import InvalidRequest
from workers.data.dataset_roots import OutsideOfRoots, plain_dataset_uri


def plain_request(request: DatasetRequest) -> DatasetRequest:
    """Returns the request with a plain URI. Raises InvalidRequest if its URI has no plain form."""
    try:
        uri = plain_dataset_uri(request.uri)
    except OutsideOfRoots as error:
        raise InvalidRequest("uri", str(error)) from error
    return DatasetRequest.model_validate({**dict(request), "uri": uri})
