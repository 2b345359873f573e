"""The inspection at registration: lists, counts, samples and hashes a dataset, and refuses what cannot work."""

from service.config.datasets import DatasetRequest
from service.datasets.inspection.inspection import HashLimit, InspectedDataset, inspect_dataset

__all__ = ["DatasetRequest", "HashLimit", "InspectedDataset", "inspect_dataset"]
