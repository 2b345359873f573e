"""The groups of the control plane's settings: NOISY_STUDENT_RAY__JOBS_URL is `jobs_url` of the group `ray`."""

from pydantic import BaseModel, ConfigDict, Field, IPvAnyNetwork, SecretStr

from service.config.inspector_limits import InspectorLimits
from service.config.policies import SCHEDULE_TIMEOUT_SECONDS, RetentionPolicy
from workers.specs.node_labels import ACCELERATOR, NODE_GROUP, KnownGroup, NodeChoice, NodeLabels
from workers.specs.stages import StageName
from workers.specs.telemetry import LogFormat


class SettingGroup(BaseModel):
    """The base of the groups. It is frozen but not strict, because the environment contains only strings."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ServerSettings(SettingGroup):
    """Where the API listens."""

    host: str = Field(default="127.0.0.1", description="Address that the API listens on.")
    port: int = Field(default=8000, ge=0, le=65535, description="Port that the API listens on.")
    max_body_bytes: int = Field(default=4 << 20, ge=1024, description="Larger request bodies are rejected.")


class AccessSettings(SettingGroup):
    """Who may call, from where and how often, and how long the audit log keeps changes."""

    authentication: bool = Field(
        default=False, description="Whether requests need a credential. Required if server.host is not loopback."
    )
    allowed_hosts: tuple[str, ...] = Field(
        default=(),
        description="Host names of the service, besides loopback's. With authentication, empty means any name.",
    )
    session_hours: float = Field(default=12, gt=0, description="How long a login to the web page lasts.")
    audit_days: float = Field(default=365, ge=7, description="How long the audit log keeps changes.")
    audit_refused_days: float = Field(default=30, ge=7, description="How long it keeps rejected requests.")
    requests_per_second: float = Field(
        default=100, gt=0, description="Sustained request rate per caller and API process."
    )
    request_burst: int = Field(default=300, ge=1, description="Requests that one caller may send at once.")


class RaySettings(SettingGroup):
    """The Ray head that runs the stages."""

    jobs_url: str = Field(default="http://127.0.0.1:8265", description="Ray's dashboard and jobs API.")
    auth_token: SecretStr | None = Field(default=None, description="Bearer token, if RAY_AUTH_MODE=token.")
    is_own: bool = Field(
        default=False,
        description="Ray runs on this machine as this user, and its token is sent to no other user's program.",
    )
    dashboard_url: str = Field(
        default="",
        description="Prefix of links to Ray's dashboard; empty: jobs_url, or /ray with authentication.",
    )
    grafana_url: str = Field(
        default="",
        pattern=r"^$|^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?$",
        max_length=2000,
        description="Grafana, as browsers reach it: its panels may stand in the pages of Ray's dashboard below /ray.",
    )
    python_executable: str = Field(default="python", description="The stages' interpreter on the cluster.")
    job_log_mib: float = Field(default=16.0, gt=0, description="How much of the end of each Ray job's log is kept.")


class DatasetSettings(SettingGroup):
    """Where datasets may lie."""

    roots: tuple[str, ...] | None = Field(
        default=None,
        description="Folders, s3://BUCKET/PREFIX, gs://... Default: anywhere without authentication, nowhere with it.",
    )
    roots_by_project: dict[str, tuple[str, ...]] = Field(
        default={},
        description="JSON object of projects that use their own roots, and only those. Other projects use roots.",
    )
    anywhere: bool = Field(
        default=False,
        description="With authentication and no roots: allow every place except home and artifact_root. For a "
        "personal machine, because a caller who registers can read every file that the service's user can.",
    )


class RegistrationSettings(SettingGroup):
    """Limits for the inspection of one dataset."""

    processes: int = Field(
        default=2,
        ge=1,
        description="Datasets of one caller that an API process inspects at once, plus one of other callers.",
    )
    timeout_seconds: float = Field(default=300.0, gt=0, description="Time to inspect one dataset; then it is rejected.")
    memory_mib: int = Field(
        default=1024, ge=256, description="Memory to inspect one dataset in a separate process; then it is rejected."
    )

    @property
    def limits(self) -> InspectorLimits:
        """The limits of one inspection."""
        return InspectorLimits(self.timeout_seconds, self.memory_mib << 20)


class ReconcilerSettings(SettingGroup):
    """How the reconciler works."""

    tick_seconds: float = Field(default=0.25, gt=0, description="The reconciler's pause between two ticks.")
    lease_seconds: float = Field(
        default=15.0, gt=0, description="Another reconciler takes over from one silent for this long."
    )
    max_attempts: int = Field(default=4, ge=1, description="Attempts of one stage before its run fails.")
    schedule_timeout_seconds: float = Field(
        default=SCHEDULE_TIMEOUT_SECONDS,
        gt=0,
        description="How long an attempt waits for nodes, of runs that do not say. Longer than the autoscaler tries "
        "one group of nodes.",
    )
    max_concurrent_stages: int | None = Field(
        default=None, ge=1, description="Concurrent stages on the cluster, over all runs; none: no limit."
    )

    @property
    def outside_timeout_seconds(self) -> float:
        """How long the reconciler waits for one answer from Ray or the artifact store: well below its lease."""
        return self.lease_seconds / 3


class DriverPlace(SettingGroup):
    """What the driver of a stage asks of the cluster. With none of it, Ray runs the driver on the head."""

    cpus: float = Field(default=0.0, ge=0, description="CPUs that the driver reserves on its node.")
    memory_mib: int = Field(default=0, ge=0, description="Memory that the driver reserves on its node.")
    node_labels: NodeLabels = Field(default={}, description="Labels of the nodes that it may run on, as JSON.")


class PlacementSettings(SettingGroup):
    """Which nodes of the cluster the processes of stages run on. Labels are Ray's, as JSON: a value, `!value`,
    `in(a, b)` or `!in(a, b)`."""

    train_node_labels: NodeLabels | None = Field(
        default=None, description="Of workers, where a run's resources.train has no node_labels."
    )
    label_node_labels: NodeLabels | None = Field(
        default=None, description="Of the actors that label and evaluate, where a run's resources.label has none."
    )
    cpu_node_labels: NodeLabels = Field(
        default={ACCELERATOR: "!gpu"},
        description="Of processes without GPUs, where neither a run nor these settings say more. Ignored on a cluster "
        "that has no such node.",
    )
    helper_node_labels: NodeLabels = Field(
        default={NODE_GROUP: "headgroup"},
        description="Of processes that hold nothing of the cluster and only wait. Ignored where no node has them.",
    )
    resize_check_seconds: float = Field(
        default=60.0,
        gt=0,
        description="How often a training whose num_workers is a range looks whether there is room for more workers. "
        "Each change of their number costs it the start of its workers.",
    )

    node_groups: tuple[KnownGroup, ...] = Field(
        default=(),
        max_length=200,
        description="Groups of nodes that the cluster's autoscaler can start, as JSON. Without them, a node that is "
        "coming cannot be told from one that the cluster can never have.",
    )

    driver: DriverPlace = DriverPlace()
    select: DriverPlace | None = Field(
        default=None, description="The same for the select stage, whose driver does the work. Default: as `driver`."
    )

    def driver_of(self, stage: StageName) -> DriverPlace:
        """Returns what the driver of a stage asks for."""
        return self.select if stage == "select" and self.select is not None else self.driver

    @property
    def nodes(self) -> NodeChoice:
        """What the stages are told for processes without node labels of their own."""
        return NodeChoice(
            cpu_node_labels=self.cpu_node_labels,
            helper_node_labels=self.helper_node_labels,
            groups=self.node_groups,
        )


class RetentionSettings(SettingGroup):
    """The default retention policy of runs, and how often retention runs."""

    keep_last_checkpoints: int = Field(
        default=1, ge=0, description="Last checkpoints kept of a finished train stage, besides the best."
    )
    keep_label_generations: int = Field(
        default=1, ge=0, description="How many of a run's last generations keep label files and selections."
    )
    min_age_seconds: float = Field(
        default=86_400.0, ge=0, description="Nothing of a generation is deleted until it has been over for this long."
    )
    interval_seconds: float = Field(default=600.0, gt=0, description="Pause between two looks for artifacts to delete.")

    @property
    def policy(self) -> RetentionPolicy:
        """The retention policy of runs that set none of their own."""
        return RetentionPolicy(
            keep_last_checkpoints=self.keep_last_checkpoints,
            keep_label_generations=self.keep_label_generations,
            min_age_seconds=self.min_age_seconds,
        )


class WebhookSettings(SettingGroup):
    """Where webhooks may send events, and how delivery is retried."""

    private_networks: tuple[IPvAnyNetwork, ...] = Field(
        default=(), description="JSON list of non-public networks that webhooks may use."
    )
    max_webhooks: int = Field(default=100, ge=1, description="Number of webhooks.")
    max_attempts: int = Field(default=12, ge=1, description="Attempts to deliver one event; then the delivery is dead.")
    timeout_seconds: float = Field(default=10.0, gt=0, description="Time for one delivery, including the DNS lookup.")


class EventSettings(SettingGroup):
    """The event streams."""

    max_streams: int = Field(default=200, ge=1, description="Event stream clients per API process.")
    max_streams_of_caller: int = Field(default=20, ge=1, description="Event stream clients per caller.")
    poll_seconds: float = Field(default=0.5, gt=0, description="How often an API process looks for new events.")


class LoggingSettings(SettingGroup):
    """What the processes of the service and its stages write to their logs."""

    format: LogFormat = Field(
        default="plain",
        description="Lines for people, or JSON objects with run, generation, stage, attempt and request id.",
    )
    requests: bool = Field(
        default=False, description="Whether the API logs a line per request: method, path without its query, status."
    )


class TracingSettings(SettingGroup):
    """OpenTelemetry traces, from a request to the stages of the run that it created."""

    otlp_endpoint: str | None = Field(
        default=None,
        pattern="^https?://[^\\s?#]+$",
        max_length=2048,
        description="Base URL of a collector that takes OTLP over HTTP, such as http://collector:4318. API, reconciler "
        "and Ray nodes must reach it. None: no traces.",
    )


class MetricsSettings(SettingGroup):
    """Where each process answers GET /metrics, on a port of its own and without a key; by default nowhere."""

    host: str = Field(
        default="127.0.0.1",
        description="Address of the metrics' ports. They need no key and name the projects: beyond loopback, let only "
        "Prometheus reach them.",
    )
    api_port: int | None = Field(
        default=None, ge=0, le=65535, description="Port of the API's metrics; none: no metrics. 0: any free one."
    )
    reconciler_port: int | None = Field(
        default=None, ge=0, le=65535, description="Port of the reconciler's metrics; none: no metrics. 0: any free one."
    )
    processes: int = Field(
        default=8,
        ge=1,
        le=1000,
        description="API processes, and reconcilers, that one machine may have: each takes the first free one of so "
        "many ports.",
    )
    cache_seconds: float = Field(
        default=10.0, ge=0, description="For how long what was read from the database serves all scrapes."
    )
