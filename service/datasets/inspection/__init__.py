"""The inspection at registration: lists, counts, samples and hashes a dataset, and refuses what cannot work."""

from service.config.datasets import DatasetRequest
from service.datasets.inspection.inspection import HashLimit, InspectedDataset, inspect_dataset
from service.datasets.inspection.versions import VersionBefore, inspect_version

__all__ = [
    "DatasetRequest",
    "HashLimit",
    "InspectedDataset",
    "VersionBefore",
    "inspect_dataset",
    "inspect_version",
]
