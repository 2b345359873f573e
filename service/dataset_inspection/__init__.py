"""What registration looks at: lists, counts, samples and hashes a dataset, and refuses what cannot work."""

from service.dataset_inspection.inspection import HashLimit, InspectedDataset, inspect_dataset
from service.dataset_inspection.request import DatasetRequest

__all__ = ["DatasetRequest", "HashLimit", "InspectedDataset", "inspect_dataset"]
