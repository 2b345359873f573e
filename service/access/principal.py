"""The caller of a request and what it may do."""

from dataclasses import dataclass
from typing import Literal

from service.config.access import Scope


@dataclass(frozen=True)
class Principal:
    """An authenticated caller."""

    subject: str
    """The key's id, `oidc:` followed by the token's subject, or `local` on a laptop."""
    kind: Literal["key", "session", "oidc", "local"]
    scope: Scope
    projects: frozenset[str] | None
    """The projects that the caller sees and changes; None for every project."""


LOCAL = Principal("local", "local", Scope.ADMIN, None)
"""The caller of a service that listens on loopback only and requires no credential."""
