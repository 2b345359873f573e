"""The settings of the servers that stages report their figures to."""

from typing import Literal

from pydantic import Field

from service.config.settings.groups import SettingGroup
from workers.specs.tracking import Tracking

_URL = r"https?://[^\s?#@]+"
"""Without a user and a password: they would be in every spec. The libraries find them in the cluster's environment."""


class TrackingSettings(SettingGroup):
    """MLflow and Weights & Biases, beside the event files that stages always write."""

    mlflow_uri: str | None = Field(
        default=None,
        pattern=rf"^({_URL}|file:///[^\s?#@]+)$",
        max_length=2048,
        description="MLflow's tracking server as the cluster reaches it, such as http://mlflow:5000, or a shared "
        "folder as file:///...; none: no MLflow. A user, password or token belongs in the cluster's environment.",
    )
    mlflow_experiment: str = Field(
        default="noisy-student",
        min_length=1,
        max_length=200,
        description="The experiment that has the runs. It is made if it is missing.",
    )
    wandb_mode: Literal["off", "online", "offline"] = Field(
        default="off",
        description="Weights & Biases: online, with WANDB_API_KEY in the cluster's environment, or offline, into a "
        "folder beside each stage's files.",
    )
    wandb_project: str = Field(
        default="noisy-student",
        pattern=r"^[^\s/\\#?%:]+$",
        max_length=128,
        description="The project that has the runs.",
    )
    wandb_entity: str | None = Field(
        default=None, pattern=r"^[^\s/\\#?%:]+$", max_length=128, description="User or team; none: the key's own."
    )
    upload_weights: bool = Field(
        default=False, description="Whether the weights of each finished training are uploaded to these servers too."
    )
    service_url: str | None = Field(
        default=None,
        pattern=rf"^{_URL}$",
        max_length=2048,
        description="This service as browsers reach it, for the links from the servers to its pages; none: no links.",
    )

    @property
    def of_stages(self) -> Tracking:
        """What every stage is told of it."""
        return Tracking(**self.model_dump())
