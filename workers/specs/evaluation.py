"""What an evaluation compares with: true labels of the pool, a reference model, additional sets."""

from workers.specs.base import Frozen


class PseudoLabelTruth(Frozen):
    """Label files, and a labeled dataset with the same images, against which to measure the pseudo labels."""

    labels_uri: str
    labels_manifest_uri: str
    truth_manifest_uri: str


class RobustnessReference(Frozen):
    """The model that mean corruption error and mean flip rate are relative to."""

    model_id: str
    result_uri: str
    """The result.json of its evaluate stage, which had the same robustness settings and images."""


class ExternalSet(Frozen):
    """An additional evaluation set. Its classes may be a subset of the model's, as ImageNet-A's are."""

    name: str
    manifest_uri: str
    class_map: dict[str, str] | None = None
    """Maps each class of the set to a class of the model; None: their names are equal."""
