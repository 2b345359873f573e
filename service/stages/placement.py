"""Applies the service's placement of processes to the resources of a run. No I/O."""

from service.config.run import Resources
from service.config.settings.groups import PlacementSettings


def placed(resources: Resources, placement: PlacementSettings) -> Resources:
    """Returns the resources, with the service's node labels where the run has none of its own."""
    train, label = resources.train, resources.label
    if train.node_labels is None:
        train = train.model_copy(update={"node_labels": placement.train_node_labels})
    if label.node_labels is None:
        label = label.model_copy(update={"node_labels": placement.label_node_labels})
    return resources.model_copy(update={"train": train, "label": label})
