"""Every setting of the control plane, read from environment variables that begin with NOISY_STUDENT_."""

from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


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
    lease_seconds: float = Field(
        default=15.0, gt=0, description="A reconciler silent this long has been followed by another."
    )
    max_attempts: int = Field(default=4, ge=1, description="Attempts of one stage before its run fails.")
    max_concurrent_stages: int | None = Field(
        default=None, ge=1, description="Stages on the cluster at once, of all runs; none: without a limit."
    )
    job_log_mib: float = Field(default=16.0, gt=0, description="Of each Ray job's log, how much of its end is kept.")
    python_executable: str = Field(default="python", description="Interpreter of the stages, on the cluster.")

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
            "artifact_root": _absolute(self.artifact_root) if self.artifact_root else str(home / "artifacts"),
            "ray_jobs_url": self.ray_jobs_url.rstrip("/"),
            "dashboard_url": (self.dashboard_url or self.ray_jobs_url).rstrip("/"),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)  # the model is frozen from here on
        return self


def _absolute(uri: str) -> str:
    return uri.rstrip("/") if "://" in uri else str(Path(uri).expanduser().resolve())
