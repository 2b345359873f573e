"""Who makes a request, and what they may do."""

from dataclasses import dataclass
from typing import Literal

from service.config.access import Scope


@dataclass(frozen=True)
class Principal:
    """An authenticated caller."""

    subject: str
    """The key's id, or `oidc:` and the token's subject, or `local` on a laptop."""
    kind: Literal["key", "session", "oidc", "local"]
    scope: Scope
    projects: frozenset[str] | None
    """What it sees and changes; None: every project."""


LOCAL = Principal("local", "local", Scope.ADMIN, None)
"""Whoever asks a service that listens on loopback only and needs no credential."""
