"""The request with its place in the plain form, as everything that follows takes it."""

from service.config.datasets import DatasetRequest
from service.errors import InvalidRequest
from workers.data.dataset_roots import OutsideOfRoots, plain_dataset_uri


def plain_request(request: DatasetRequest) -> DatasetRequest:
    """Raises InvalidRequest for a place that is no plain URI."""
    try:
        uri = plain_dataset_uri(request.uri)
    except OutsideOfRoots as error:
        raise InvalidRequest("uri", str(error)) from error
    return DatasetRequest.model_validate({**dict(request), "uri": uri})
