"""Every setting of the control plane, read from environment variables that begin with NOISY_STUDENT_."""

import ipaddress
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from service.config.access import OidcSettings
from service.config.settings.groups import (
    AccessSettings,
    DatasetSettings,
    EventSettings,
    LoggingSettings,
    MetricsSettings,
    PlacementSettings,
    RaySettings,
    ReconcilerSettings,
    RegistrationSettings,
    RetentionSettings,
    ServerSettings,
    TracingSettings,
    WebhookSettings,
)
from service.config.settings.names import PREFIX, refusals
from service.config.settings.tracking import TrackingSettings
from service.dataset_roots import RootsByProject, absolute_roots, absolute_uri
from workers.specs.internals import LibraryInternals
from workers.specs.telemetry import Telemetry


class Settings(BaseSettings):
    """All settings, in groups. The variables are named NOISY_STUDENT_HOME, NOISY_STUDENT_RAY__JOBS_URL and so on."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter="__", frozen=True, extra="forbid")

    home: Path = Field(default=Path("noisy-student-data"), description="Folder of the default database and artifacts.")
    umask: str = Field(
        default="077",
        pattern="^0?[0-7]{3}$",
        description="Permissions denied on files that the API and the reconciler create; use 027 or 007 if the "
        "cluster's nodes read them from a shared disk as another user of the same group.",
    )
    database_url: str = Field(
        default="", description="sqlite:///FILE or postgresql://...; empty: noisy-student.db under home."
    )
    artifact_root: str = Field(
        default="",
        description="A local path, s3://... or gs://... that the cluster can reach; empty: artifacts under home.",
    )
    secret_keys_file: str = Field(
        default="",
        description="File of the keys, one per line, that seal stored secrets; the API and the reconciler need the "
        "same file. Empty: secret.keys under home, created if missing.",
    )
    server: ServerSettings = ServerSettings()
    access: AccessSettings = AccessSettings()
    oidc: OidcSettings | None = Field(default=None, description="The identity provider whose tokens are accepted.")
    ray: RaySettings = RaySettings()
    internals: LibraryInternals = LibraryInternals()
    datasets: DatasetSettings = DatasetSettings()
    registration: RegistrationSettings = RegistrationSettings()
    reconciler: ReconcilerSettings = ReconcilerSettings()
    placement: PlacementSettings = PlacementSettings()
    retention: RetentionSettings = RetentionSettings()
    webhooks: WebhookSettings = WebhookSettings()
    events: EventSettings = EventSettings()
    metrics: MetricsSettings = MetricsSettings()
    logging: LoggingSettings = LoggingSettings()
    tracing: TracingSettings = TracingSettings()
    tracking: TrackingSettings = TrackingSettings()

    @model_validator(mode="before")
    @classmethod
    def _environment_has_nothing_that_is_no_setting(cls, values: Any) -> Any:
        if wrong := refusals(os.environ, set(setting_names())):
            raise ValueError("; ".join(wrong))
        return values

    @model_validator(mode="after")
    def _fill_in_what_follows_from_others(self) -> Self:
        home = self.home.expanduser().resolve()
        values = {
            "home": home,
            "database_url": self.database_url or f"sqlite:///{home / 'noisy-student.db'}",
            # The path is absolute because stages run in another working directory.
            "artifact_root": absolute_uri(self.artifact_root) if self.artifact_root else str(home / "artifacts"),
            "secret_keys_file": self.secret_keys_file or str(home / "secret.keys"),
            "ray": self._ray(),
            "datasets": self._datasets(),
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
        """Whether the API listens on loopback only."""
        return is_loopback(self.server.host)

    @property
    def roots_by_project(self) -> RootsByProject:
        """The roots under which each project's datasets must lie."""
        kept = (str(self.home), self.artifact_root) if self.datasets.anywhere else ()
        return RootsByProject(self.datasets.roots, self.datasets.roots_by_project, kept)

    @property
    def telemetry(self) -> Telemetry:
        """What every stage is told of its logs and traces."""
        return Telemetry(log_format=self.logging.format, otlp_endpoint=self.tracing.otlp_endpoint)

    def _ray(self) -> RaySettings:
        jobs_url = self.ray.jobs_url.rstrip("/")
        dashboard_url = self.ray.dashboard_url or ("/ray" if self.access.authentication else jobs_url)
        return self.ray.model_copy(update={"jobs_url": jobs_url, "dashboard_url": dashboard_url.rstrip("/")})

    def _datasets(self) -> DatasetSettings:
        roots, by_project = self.datasets.roots, self.datasets.roots_by_project
        if roots is not None:
            roots = absolute_roots(roots)
        elif self.access.authentication and not self.datasets.anywhere:
            roots = ()
        by_project = {project: absolute_roots(each) for project, each in by_project.items()}
        return self.datasets.model_copy(update={"roots": roots, "roots_by_project": by_project})


def settings_of_process() -> Settings:
    """Reads the settings from the environment. If some are wrong, ends the process with a line for each."""
    try:
        return Settings()
    except ValidationError as error:
        sys.exit("settings are wrong:\n" + "\n".join(wrong_settings(error)))


def wrong_settings(error: ValidationError) -> list[str]:
    """Returns a line for each wrong setting, with the name of its variable."""
    return [_wrong(each["loc"], each["msg"].removeprefix("Value error, ")) for each in error.errors()]


def _wrong(place: tuple[int | str, ...], message: str) -> str:
    return f"{PREFIX}{'__'.join(map(str, place)).upper()}: {message}" if place else message


def setting_names() -> Iterator[str]:
    """Yields the names of all variables, without the prefix. A group has its own variable, which takes JSON."""
    for name, field in Settings.model_fields.items():
        yield name.upper()
        group = OidcSettings if name == "oidc" else field.annotation
        if isinstance(group, type) and issubclass(group, BaseModel):
            yield from (f"{name}__{each}".upper() for each in group.model_fields)


def free_bytes(folder: Path) -> int:
    """The free space of the disk on which the folder is or would be."""
    return shutil.disk_usage(next(each for each in (folder, *folder.parents) if each.exists())).free


def is_loopback(host: str) -> bool:
    """Whether the name or address means this machine. It resolves no names."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"
