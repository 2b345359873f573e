"""Every setting of the control plane, read from environment variables that begin with NOISY_STUDENT_."""

import ipaddress
from pathlib import Path
from typing import Self

from pydantic import Field, IPvAnyNetwork, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from service.config.access import OidcSettings
from service.config.inspector_limits import InspectorLimits
from service.config.policies import RetentionPolicy
from service.dataset_roots import RootsByProject, absolute_roots, absolute_uri


class Settings(BaseSettings):
    """Where things are and how often they are looked at. Names of the variables: NOISY_STUDENT_HOME and so on."""

    model_config = SettingsConfigDict(
        env_prefix="NOISY_STUDENT_", env_nested_delimiter="__", frozen=True, extra="forbid"
    )

    home: Path = Field(default=Path("noisy-student-data"), description="Folder of the default database and artifacts.")
    umask: str = Field(
        default="077",
        pattern="^0?[0-7]{3}$",
        description="What is forbidden of the files that API and reconciler make; 027 or 007 where the cluster's nodes "
        "read them from a shared disk as another user of the same group.",
    )
    database_url: str = Field(
        default="", description="sqlite:///FILE or postgresql://...; empty: noisy-student.db under home."
    )
    artifact_root: str = Field(
        default="",
        description="A local path, s3://..., gs://...: the cluster must see it; empty: artifacts under home.",
    )
    ray_jobs_url: str = Field(default="http://127.0.0.1:8265", description="Ray's dashboard and jobs API.")
    ray_auth_token: SecretStr | None = Field(default=None, description="Bearer token, where RAY_AUTH_MODE=token.")
    ray_is_own: bool = Field(
        default=False, description="Ray runs on this machine as this user: its token goes to no other user's program."
    )
    dashboard_url: str = Field(
        default="",
        description="Prefix of the links to Ray's dashboard; empty: ray_jobs_url, or /ray with authentication.",
    )
    api_host: str = "127.0.0.1"
    api_port: int = Field(default=8000, ge=0, le=65535)
    authentication: bool = Field(
        default=False, description="Whether requests need a credential. Must be on where api_host is not loopback."
    )
    allowed_hosts: tuple[str, ...] = Field(
        default=(),
        description="Names that the service is called by; loopback's always are. With authentication, none: any name.",
    )
    session_hours: float = Field(default=12, gt=0, description="How long a login to the web page lasts.")
    oidc: OidcSettings | None = Field(default=None, description="The identity provider whose tokens are accepted.")
    max_body_bytes: int = Field(default=4 << 20, ge=1024, description="A larger request body is refused.")
    audit_days: float = Field(default=365, ge=7, description="How long the audit log keeps what was changed.")
    audit_refused_days: float = Field(default=30, ge=7, description="How long it keeps changes that were refused.")
    requests_per_second: float = Field(
        default=100, gt=0, description="What one caller may ask in the long run, of each process of the API."
    )
    request_burst: int = Field(default=300, ge=1, description="What one caller may ask at once.")
    dataset_roots: tuple[str, ...] | None = Field(
        default=None,
        description="Where datasets may lie: folders, s3://BUCKET/PREFIX, gs://... Default: anywhere without "
        "authentication, nowhere with it.",
    )
    dataset_roots_by_project: dict[str, tuple[str, ...]] = Field(
        default={},
        description="As JSON: projects whose datasets may lie at places of their own, and only there. The others': "
        "dataset_roots.",
    )
    registration_processes: int = Field(
        default=2, ge=1, description="Datasets of one caller that an API process looks at at once; one more of others'."
    )
    registration_timeout_seconds: float = Field(
        default=300.0, gt=0, description="For looking at one dataset; then it is refused."
    )
    registration_memory_mib: int = Field(
        default=1024, ge=256, description="For looking at one dataset, in a process of its own; then it is refused."
    )
    datasets_anywhere: bool = Field(
        default=False,
        description="With authentication and no dataset_roots: anywhere but in home and artifact_root. For the machine "
        "of one person: who may register can have every file read that the service's user can.",
    )
    tick_seconds: float = Field(default=0.25, gt=0, description="Pause of the reconciler between two looks.")
    lease_seconds: float = Field(
        default=15.0, gt=0, description="A reconciler silent this long has been followed by another."
    )
    max_attempts: int = Field(default=4, ge=1, description="Attempts of one stage before its run fails.")
    max_concurrent_stages: int | None = Field(
        default=None, ge=1, description="Stages on the cluster at once, of all runs; none: without a limit."
    )
    job_log_mib: float = Field(default=16.0, gt=0, description="Of each Ray job's log, how much of its end is kept.")
    python_executable: str = Field(default="python", description="Interpreter of the stages, on the cluster.")
    retention_keep_last_checkpoints: int = Field(
        default=1, ge=0, description="Training checkpoints of a finished train stage that stay, beside the best."
    )
    retention_keep_label_generations: int = Field(
        default=1, ge=0, description="The last so many generations of a run keep their label files and selections."
    )
    retention_min_age_seconds: float = Field(
        default=86_400.0, ge=0, description="Nothing is collected before its generation has been over for so long."
    )
    retention_interval_seconds: float = Field(
        default=600.0, gt=0, description="Pause between two looks for artifacts to collect."
    )
    webhook_private_networks: tuple[IPvAnyNetwork, ...] = Field(
        default=(), description="As JSON: networks that webhooks may lie in although they are not public."
    )
    max_webhooks: int = Field(default=100, ge=1, description="Receivers of events.")
    webhook_max_attempts: int = Field(default=12, ge=1, description="Of one event; then its delivery is dead.")
    webhook_timeout_seconds: float = Field(default=10.0, gt=0, description="For one delivery, from resolving its host.")
    secret_keys_file: str = Field(
        default="",
        description="File of the keys, one a line, that stored secrets are sealed with; the same for API and "
        "reconciler. Empty: secret.keys under home, made where it is missing.",
    )
    max_event_streams: int = Field(default=200, ge=1, description="Clients of the event streams, an API process.")
    max_event_streams_of_caller: int = Field(default=20, ge=1, description="Of those, of one caller.")
    event_poll_seconds: float = Field(default=0.5, gt=0, description="How often an API process looks for new events.")

    @property
    def retention(self) -> RetentionPolicy:
        """What runs keep that do not say otherwise."""
        return RetentionPolicy(
            keep_last_checkpoints=self.retention_keep_last_checkpoints,
            keep_label_generations=self.retention_keep_label_generations,
            min_age_seconds=self.retention_min_age_seconds,
        )

    @property
    def inspector_limits(self) -> InspectorLimits:
        """Of one registration."""
        return InspectorLimits(self.registration_timeout_seconds, self.registration_memory_mib << 20)

    @property
    def outside_timeout_seconds(self) -> float:
        """How long the reconciler waits for one answer of Ray or of the artifact store: well within its lease."""
        return self.lease_seconds / 3

    @model_validator(mode="after")
    def _fill_in_what_follows_from_others(self) -> Self:
        home = self.home.expanduser().resolve()
        values = {
            "home": home,
            "database_url": self.database_url or f"sqlite:///{home / 'noisy-student.db'}",
            # Absolute, because the stages run in another working directory.
            "artifact_root": absolute_uri(self.artifact_root) if self.artifact_root else str(home / "artifacts"),
            "secret_keys_file": self.secret_keys_file or str(home / "secret.keys"),
            "ray_jobs_url": self.ray_jobs_url.rstrip("/"),
            "dashboard_url": self._dashboard().rstrip("/"),
            "dataset_roots": self._roots(),
            "dataset_roots_by_project": {
                project: absolute_roots(roots) for project, roots in self.dataset_roots_by_project.items()
            },
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)  # the model is frozen from here on
        own_places = {"artifact_root": self.artifact_root, "home": str(home)}
        if self.database_url.startswith("sqlite:///"):
            own_places["database_url"] = self.database_url.removeprefix("sqlite:///")
        self.roots_by_project.check_apart(own_places)
        return self

    @property
    def on_loopback(self) -> bool:
        """Whether the API listens for this machine alone."""
        return is_loopback(self.api_host)

    @property
    def roots_by_project(self) -> RootsByProject:
        """`dataset_roots` and `dataset_roots_by_project`."""
        kept = (str(self.home), self.artifact_root) if self.datasets_anywhere else ()
        return RootsByProject(self.dataset_roots, self.dataset_roots_by_project, kept)

    def _dashboard(self) -> str:
        return self.dashboard_url or ("/ray" if self.authentication else self.ray_jobs_url)

    def _roots(self) -> tuple[str, ...] | None:
        if self.dataset_roots is None:
            return () if self.authentication and not self.datasets_anywhere else None
        return absolute_roots(self.dataset_roots)


def is_loopback(host: str) -> bool:
    """Whether the name or address means this machine. No name is looked up."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"
