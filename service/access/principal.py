"""Who makes a request, and what they may do."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class Scope(StrEnum):
    """Each includes the ones before it: viewers read, operators change runs and datasets, admins manage keys."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    def includes(self, needed: "Scope") -> bool:
        """Whether who has this scope may do what `needed` is asked for."""
        order = list(Scope)
        return order.index(self) >= order.index(needed)


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
