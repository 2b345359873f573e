"""The errors that commands and queries raise; the API turns each into a problem document."""


class ServiceError(Exception):
    """Base of all of them."""


class NotFound(ServiceError):
    """No such run, dataset, stage or model."""

    def __init__(self, kind: str, identity: str) -> None:
        super().__init__(f"there is no {kind} {identity!r}")
        self.kind = kind
        self.identity = identity


class Conflict(ServiceError):
    """The request cannot be carried out in the present state."""


class InvalidRequest(ServiceError):
    """What was asked for cannot work. `field` is a dotted path into the request body, `datasets.test` for instance."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


class RayUnavailable(ServiceError):
    """The Ray jobs API did not answer."""
