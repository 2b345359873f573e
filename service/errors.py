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
    """The Ray jobs API did not answer as it should."""


class RayDoesNotAnswer(RayUnavailable):
    """It did not answer at all, or not in time: asking it for something else would be no better."""


class DatabaseUnavailable(ServiceError):
    """The database does not answer, or cannot take a change at the moment."""


class SecretsUnavailable(ServiceError):
    """The keys that stored secrets are sealed with cannot be read."""


class ArtifactStoreUnavailable(ServiceError):
    """The artifact store does not answer in time, or refuses to be read or written."""


class RegistrationBusy(ServiceError):
    """As many datasets are being registered as this process looks at, and others wait."""


class Forbidden(ServiceError):
    """The caller may not do this."""


class Unauthenticated(ServiceError):
    """No credential, or one that is not good (any more)."""


class TooManyRequests(ServiceError):
    """The caller asks more often than it may. `retry_after_seconds` is when the next request will pass."""

    def __init__(self, retry_after_seconds: float) -> None:
        super().__init__("too many requests; the header Retry-After says when to try again")
        self.retry_after_seconds = retry_after_seconds
