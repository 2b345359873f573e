"""Where stages report their figures, beside the files in the artifact root."""

from typing import Literal

from pydantic import Field

from workers.specs.base import Frozen

TENSORBOARD_FOLDER = "tensorboard"
"""The folder with event files in a stage's folder; in a search's, with a folder for each trial."""

WandbMode = Literal["off", "online", "offline"]


class Tracking(Frozen):
    """The servers that a stage reports to. It names no secret: the libraries find theirs in the environment."""

    mlflow_uri: str | None = Field(default=None, max_length=2048)
    """The tracking server's URL, or a folder as file:///...; None: no MLflow."""
    mlflow_experiment: str = Field(default="noisy-student", min_length=1, max_length=200)
    wandb_mode: WandbMode = "off"
    """`offline`: into a folder beside the stage's files, for `wandb sync`."""
    wandb_project: str = Field(default="noisy-student", min_length=1, max_length=128)
    wandb_entity: str | None = Field(default=None, max_length=128)
    """The user or team; None: the key's own."""
    upload_weights: bool = False
    """Whether the weights of a finished training are uploaded too."""
    run_name: str | None = Field(default=None, max_length=200)
    """What people call the run."""
    service_url: str | None = Field(default=None, max_length=2048)
    """The service as browsers reach it, for links; None: no links."""
