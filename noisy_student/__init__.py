"""The user's side of Noisy Student Training: sync and async clients of the REST API, and the command line."""

from noisy_student.client import AsyncClient, Client
from noisy_student.errors import (
    ApiError,
    Conflict,
    Forbidden,
    InvalidRequest,
    NotFound,
    Refused,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
    WaitTimedOut,
)
from noisy_student.tables import to_dataframe

__all__ = [
    "ApiError",
    "AsyncClient",
    "Client",
    "Conflict",
    "Forbidden",
    "InvalidRequest",
    "NotFound",
    "Refused",
    "TooManyRequests",
    "Unauthorized",
    "Unavailable",
    "UnexpectedAnswer",
    "Unreachable",
    "WaitTimedOut",
    "to_dataframe",
]
