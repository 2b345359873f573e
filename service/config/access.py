"""Scopes, the request for an API key, and the settings of the identity provider whose tokens are accepted."""

from enum import StrEnum
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from service.config.names import Name, ProjectName
from workers.specs.base import Frozen


class Scope(StrEnum):
    """What a caller may do. Viewers read, operators also change runs and datasets, admins also manage keys."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    def includes(self, needed: "Scope") -> bool:
        """Whether this scope allows what requires the scope `needed`."""
        order = list(Scope)
        return order.index(self) >= order.index(needed)


class KeyRequest(Frozen):
    """The body of POST /keys."""

    name: Name = Field(description="Who or what will use the key.")
    scope: Scope = Field(
        strict=False,
        description="viewer reads; operator also registers datasets, starts and stops runs; admin also manages keys "
        "and reads the audit log.",
    )
    project: ProjectName | None = Field(
        description="The project whose runs and datasets the key can see and change; null: all projects."
    )
    expires_at: AwareDatetime | None = Field(
        default=None, description="When the key expires; null: it stays valid until it is revoked."
    )


Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""Only signatures by a private key. If shared secrets were accepted, an attacker could sign with the public key."""
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


class OidcSettings(BaseModel):
    """The identity provider: NOISY_STUDENT_OIDC__ISSUER and so on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: str = Field(min_length=1, description="The token's exact `iss`.")
    audience: str = Field(min_length=1, description="A value that the token's `aud` must contain.")
    jwks_url: str = Field(description="The URL of the provider's signing keys: https, except on loopback.")
    algorithms: tuple[Algorithm, ...] = Field(default=("RS256", "ES256"), min_length=1)
    scope_claim: str = Field(default="roles", description="The claim with the caller's roles: text or a list.")
    scopes: dict[str, Scope] = Field(
        default={}, description="The scope for each value of that claim; the highest counts. No match grants nothing."
    )
    project_claim: str = Field(default="projects", description="The claim with the projects: text or a list.")
    projects: dict[str, ProjectName | Literal["*"]] = Field(
        default={}, description="The project for each value of that claim; `*`: all projects."
    )
    leeway_seconds: float = Field(default=30, ge=0, le=300, description="How much the clocks may differ.")
    jwks_seconds: float = Field(default=3600, gt=0, description="How long fetched keys stay valid.")
    refetch_seconds: float = Field(
        default=30, gt=0, description="Minimum interval between two fetches, whatever key ids tokens name."
    )

    @model_validator(mode="after")
    def _keys_come_by_a_safe_way(self) -> Self:
        url = urlsplit(self.jwks_url)
        if url.scheme == "https" or (url.scheme == "http" and url.hostname in _LOOPBACK):
            return self
        raise ValueError("jwks_url: must begin with https://")
