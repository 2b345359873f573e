"""Every setting of the control plane, read from environment variables that begin with NOISY_STUDENT_."""

from pathlib import Path
from typing import Self

from pydantic import Field, IPvAnyNetwork, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from service.retention_policy import RetentionPolicy


class Settings(BaseSettings):
    """Where things are and how often they are looked at. Names of the variables: NOISY_STUDENT_HOME and so on."""

    model_config = SettingsConfigDict(env_prefix="NOISY_STUDENT_", frozen=True, extra="forbid")

    home: Path = Field(default=Path("noisy-student-data"), description="Folder of the default database and artifacts.")
    database_url: str = Field(
        default="", description="sqlite:///FILE or postgresql://...; empty: noisy-student.db under home."
    )
    artifact_root: str = Field(
        default="",
        description="A local path, s3://..., gs://...: the cluster must see it; empty: artifacts under home.",
    )
    ray_jobs_url: str = Field(default="http://127.0.0.1:8265", description="Ray's dashboard and jobs API.")
    ray_auth_token: SecretStr | None = Field(default=None, description="Bearer token, where RAY_AUTH_MODE=token.")
    dashboard_url: str = Field(default="", description="Prefix of the links to Ray's dashboard; empty: ray_jobs_url.")
    api_host: str = "127.0.0.1"
    api_port: int = Field(default=8000, ge=0, le=65535)
    tick_seconds: float = Field(default=0.25, gt=0, description="Pause of the reconciler between two looks.")
    lease_seconds: float = Field(default=15.0, gt=0, description="A reconciler silent this long loses its runs.")
    max_attempts: int = Field(default=4, ge=1, description="Attempts of one stage before its run fails.")
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
    webhook_max_attempts: int = Field(default=12, ge=1, description="Of one event; then its delivery is dead.")
    webhook_timeout_seconds: float = Field(default=10.0, gt=0, description="For one delivery, from resolving its host.")
    max_event_streams: int = Field(default=200, ge=1, description="Clients of the event streams, an API process.")
    event_poll_seconds: float = Field(default=0.5, gt=0, description="How often an API process looks for new events.")

    @property
    def retention(self) -> RetentionPolicy:
        """What runs keep that do not say otherwise."""
        return RetentionPolicy(
            keep_last_checkpoints=self.retention_keep_last_checkpoints,
            keep_label_generations=self.retention_keep_label_generations,
            min_age_seconds=self.retention_min_age_seconds,
        )

    @model_validator(mode="after")
    def _fill_in_what_follows_from_others(self) -> Self:
        home = self.home.expanduser().resolve()
        values = {
            "home": home,
            "database_url": self.database_url or f"sqlite:///{home / 'noisy-student.db'}",
            # Absolute, because the stages run in another working directory.
            "artifact_root": _absolute(self.artifact_root) if self.artifact_root else str(home / "artifacts"),
            "ray_jobs_url": self.ray_jobs_url.rstrip("/"),
            "dashboard_url": (self.dashboard_url or self.ray_jobs_url).rstrip("/"),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)  # the model is frozen from here on
        return self


def _absolute(uri: str) -> str:
    return uri.rstrip("/") if "://" in uri else str(Path(uri).expanduser().resolve())
