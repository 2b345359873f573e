"""The control plane's knowledge of timm's models. It comes from a file, so that the control plane needs no torch."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from pydantic import Field

from workers.specs.base import Frozen

CATALOG_PATH = Path(__file__).with_name("timm.json")


class CatalogModel(Frozen):
    """One timm model."""

    parameters: int = Field(ge=0)
    """The number of parameters without the classifier."""
    parameters_per_class: int = Field(ge=0)
    """The parameters that each class adds: the classifier's weights and bias."""
    drop_path: bool
    """Whether stochastic depth acts in a forward pass."""
    drop_path_falls: bool = True
    """Whether its rate falls from the last layer to the first, as in the paper. Otherwise most have one for all."""
    dropout: bool
    """Whether dropout acts in a forward pass."""
    dropout_on_classifier: bool = True
    """Whether it acts on the classifier's input, as in the paper, and nowhere else."""
    img_size: bool
    """Whether timm.create_model takes `img_size`, as vision transformers do."""
    weights: tuple[str, ...] = ()
    """The tags of the pretrained weights that timm has for it."""


class Catalog(Frozen):
    """The content of the catalogue file, which `service/model_catalog/generate.py` writes."""

    timm_version: str
    models: dict[str, CatalogModel]


@lru_cache(maxsize=1)
def load_catalog() -> Mapping[str, CatalogModel]:
    """Returns all models by name."""
    return Catalog.model_validate_json(CATALOG_PATH.read_bytes()).models


def parameters_with_head(model: CatalogModel, num_classes: int) -> int:
    """Returns the number of parameters of the model with a classifier for `num_classes` classes."""
    return model.parameters + model.parameters_per_class * num_classes
