"""The groups of the control plane's settings: NOISY_STUDENT_RAY__JOBS_URL is `jobs_url` of the group `ray`."""

from pydantic import BaseModel, ConfigDict, Field, IPvAnyNetwork, SecretStr

from service.config.inspector_limits import InspectorLimits
from service.config.policies import RetentionPolicy


class SettingGroup(BaseModel):
    """Frozen. Not strict: the environment has texts only."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ServerSettings(SettingGroup):
    """Where the API listens."""

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    max_body_bytes: int = Field(default=4 << 20, ge=1024, description="A larger request body is refused.")


class AccessSettings(SettingGroup):
    """Who may call, from where and how often, and how long it is known who did."""

    authentication: bool = Field(
        default=False, description="Whether requests need a credential. Must be on where server.host is not loopback."
    )
    allowed_hosts: tuple[str, ...] = Field(
        default=(),
        description="Names that the service is called by; loopback's always are. With authentication, none: any name.",
    )
    session_hours: float = Field(default=12, gt=0, description="How long a login to the web page lasts.")
    audit_days: float = Field(default=365, ge=7, description="How long the audit log keeps what was changed.")
    audit_refused_days: float = Field(default=30, ge=7, description="How long it keeps changes that were refused.")
    requests_per_second: float = Field(
        default=100, gt=0, description="What one caller may ask in the long run, of each process of the API."
    )
    request_burst: int = Field(default=300, ge=1, description="What one caller may ask at once.")


class RaySettings(SettingGroup):
    """The Ray head that runs the stages."""

    jobs_url: str = Field(default="http://127.0.0.1:8265", description="Ray's dashboard and jobs API.")
    auth_token: SecretStr | None = Field(default=None, description="Bearer token, where RAY_AUTH_MODE=token.")
    is_own: bool = Field(
        default=False, description="Ray runs on this machine as this user: its token goes to no other user's program."
    )
    dashboard_url: str = Field(
        default="",
        description="Prefix of the links to Ray's dashboard; empty: jobs_url, or /ray with authentication.",
    )
    python_executable: str = Field(default="python", description="Interpreter of the stages, on the cluster.")
    job_log_mib: float = Field(default=16.0, gt=0, description="Of each Ray job's log, how much of its end is kept.")


class DatasetSettings(SettingGroup):
    """Where datasets may lie."""

    roots: tuple[str, ...] | None = Field(
        default=None,
        description="Folders, s3://BUCKET/PREFIX, gs://... Default: anywhere without authentication, nowhere with it.",
    )
    roots_by_project: dict[str, tuple[str, ...]] = Field(
        default={},
        description="As JSON: projects whose datasets may lie at places of their own, and only there. The others': "
        "roots.",
    )
    anywhere: bool = Field(
        default=False,
        description="With authentication and no roots: anywhere but in home and artifact_root. For the machine of one "
        "person: who may register can have every file read that the service's user can.",
    )


class RegistrationSettings(SettingGroup):
    """What looking at one dataset may take."""

    processes: int = Field(
        default=2, ge=1, description="Datasets of one caller that an API process looks at at once; one more of others'."
    )
    timeout_seconds: float = Field(default=300.0, gt=0, description="For looking at one dataset; then it is refused.")
    memory_mib: int = Field(
        default=1024, ge=256, description="For looking at one dataset, in a process of its own; then it is refused."
    )

    @property
    def limits(self) -> InspectorLimits:
        """Of one registration."""
        return InspectorLimits(self.timeout_seconds, self.memory_mib << 20)


class ReconcilerSettings(SettingGroup):
    """How the reconciler works."""

    tick_seconds: float = Field(default=0.25, gt=0, description="Pause of the reconciler between two looks.")
    lease_seconds: float = Field(
        default=15.0, gt=0, description="A reconciler silent this long has been followed by another."
    )
    max_attempts: int = Field(default=4, ge=1, description="Attempts of one stage before its run fails.")
    max_concurrent_stages: int | None = Field(
        default=None, ge=1, description="Stages on the cluster at once, of all runs; none: without a limit."
    )

    @property
    def outside_timeout_seconds(self) -> float:
        """How long the reconciler waits for one answer of Ray or of the artifact store: well within its lease."""
        return self.lease_seconds / 3


class RetentionSettings(SettingGroup):
    """What runs keep that do not say otherwise, and how often is looked for what may go."""

    keep_last_checkpoints: int = Field(
        default=1, ge=0, description="Training checkpoints of a finished train stage that stay, beside the best."
    )
    keep_label_generations: int = Field(
        default=1, ge=0, description="The last so many generations of a run keep their label files and selections."
    )
    min_age_seconds: float = Field(
        default=86_400.0, ge=0, description="Nothing is collected before its generation has been over for so long."
    )
    interval_seconds: float = Field(
        default=600.0, gt=0, description="Pause between two looks for artifacts to collect."
    )

    @property
    def policy(self) -> RetentionPolicy:
        """Of runs that do not say otherwise."""
        return RetentionPolicy(
            keep_last_checkpoints=self.keep_last_checkpoints,
            keep_label_generations=self.keep_label_generations,
            min_age_seconds=self.min_age_seconds,
        )


class WebhookSettings(SettingGroup):
    """To whom events are sent, and how hard it is tried."""

    private_networks: tuple[IPvAnyNetwork, ...] = Field(
        default=(), description="As JSON: networks that webhooks may lie in although they are not public."
    )
    max_webhooks: int = Field(default=100, ge=1, description="Receivers of events.")
    max_attempts: int = Field(default=12, ge=1, description="Of one event; then its delivery is dead.")
    timeout_seconds: float = Field(default=10.0, gt=0, description="For one delivery, from resolving its host.")


class EventSettings(SettingGroup):
    """The event streams."""

    max_streams: int = Field(default=200, ge=1, description="Clients of the event streams, an API process.")
    max_streams_of_caller: int = Field(default=20, ge=1, description="Of those, of one caller.")
    poll_seconds: float = Field(default=0.5, gt=0, description="How often an API process looks for new events.")
