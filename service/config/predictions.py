"""The request for a prediction: a model, a dataset, and how much of each answer to keep."""

from pydantic import Field

from service.config.names import DEFAULT_PROJECT, Name, ProjectName, Reference
from workers.specs.base import Frozen
from workers.specs.stages import ActorPool


class PredictionSettings(Frozen):
    """What a prediction's only stage does."""

    model: Reference = Field(description="The id of a trained model.")
    dataset: Reference = Field(
        description="The id of a dataset of any role. If it has labels, the result says how often the model is right."
    )
    top_k: int | None = Field(
        default=5,
        ge=1,
        le=100_000,
        description="How many classes to keep of each image, the most probable, with their probabilities. Null: all.",
    )


class PredictionRequest(PredictionSettings):
    """The body of POST /predictions."""

    name: Name | None = Field(default=None, description="Default: the model and the dataset.")
    project: ProjectName = Field(
        default=DEFAULT_PROJECT,
        description="The project that owns the prediction and whose device hours it spends. Default: the project of "
        "the caller's key.",
    )
    priority: int = Field(default=0, ge=-100, le=100, description="As of a run.")
    pool: ActorPool = Field(default=ActorPool(), description="The actors that predict.")
    batch_size: int = Field(default=256, ge=1, le=1_000_000, description="Images per forward pass.")
    max_bad_fraction: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="The prediction fails if more than this share of the images is broken. By default it never does: "
        "each broken image is a row without a label, with the reason.",
    )
