"""The errors that commands and queries raise; the API turns each into a problem document."""


class ServiceError(Exception):
    """The base class of all errors of commands and queries."""


class NotFound(ServiceError):
    """The run, dataset, stage, model or other thing does not exist."""

    def __init__(self, kind: str, identity: str) -> None:
        super().__init__(f"there is no {kind} {identity!r}")
        self.kind = kind
        self.identity = identity


class Conflict(ServiceError):
    """The current state does not allow the request."""


class InvalidRequest(ServiceError):
    """The request cannot work. `field` is a dotted path into its body, for example `datasets.test`."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


class RayUnavailable(ServiceError):
    """The Ray jobs API did not answer as it should."""


class RayDoesNotAnswer(RayUnavailable):
    """The Ray jobs API did not answer at all, or not in time. Other requests would not fare better."""


class DatabaseUnavailable(ServiceError):
    """The database does not answer, or cannot accept a change at the moment."""


class SecretsUnavailable(ServiceError):
    """The service cannot read the keys that stored secrets are sealed with."""


class ArtifactStoreUnavailable(ServiceError):
    """The artifact store does not answer in time, or refuses a read or a write."""


class RegistrationBusy(ServiceError):
    """This process inspects as many datasets as it can, and others are waiting already."""


class Forbidden(ServiceError):
    """The caller may not do this."""


class Unauthenticated(ServiceError):
    """The credential is missing, or it is not or no longer valid."""


class TooManyRequests(ServiceError):
    """The caller exceeds a limit. The next request will be accepted after `retry_after_seconds`."""

    def __init__(self, retry_after_seconds: float) -> None:
        super().__init__("too many requests; the header Retry-After says when to try again")
        self.retry_after_seconds = retry_after_seconds
