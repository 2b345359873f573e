"""timm's weights on the Hugging Face hub or at a URL: from the cache of the driver's node, else over the network."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch
from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from workers.initialization.checkpoints import tensors_in
from workers.initialization.refusals import first_line, refusal
from workers.runtime.stage_reporter import StageError
from workers.specs.initialization import HUB_PREFIX
from workers.specs.reports import FailureReason

_CONFIGURATION = ("config.json",)
_WEIGHTS = ("model.safetensors", "pytorch_model.safetensors", "pytorch_model.bin")
"""The names of a repository's weights, in the order in which timm looks for them."""
_ABSENT = (GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError, EntryNotFoundError)


@dataclass(frozen=True)
class HubWeights:
    """Weights that were in the cache, or are now."""

    name: str
    """With the commit of the repository, if they come from one."""
    tensors: dict[str, torch.Tensor]
    digest: str


def repository_configuration(repository: str) -> Mapping[str, Any]:
    """The config.json of a repository (OWNER/NAME, perhaps with @REVISION); empty if it is no object of JSON.

    Raises StageError like `repository_weights`.
    """
    path = _file_of_repository(repository, _CONFIGURATION)
    try:
        found = json.loads(path.read_bytes())
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def repository_weights(repository: str, file: str | None = None) -> HubWeights:
    """The weights in a repository, in `file` if it is named. What is in the cache is taken as it is.

    Raises StageError: USER_ERROR if the cache does not have them and the hub cannot be reached or has none, STAGE_ERROR
    if the hub fails.
    """
    path = _file_of_repository(repository, _WEIGHTS if file is None else (file,))
    commit = path.parts[path.parts.index("snapshots") + 1]
    return _read(path, f"{HUB_PREFIX}{repository.partition('@')[0]}@{commit}")


def weights_at(name: str, url: str) -> HubWeights:
    """timm's weights `name`, which are on no hub but at a URL. Raises StageError like `repository_weights`."""
    path = Path(torch.hub.get_dir(), "checkpoints", os.path.basename(urlparse(url).path))
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        with _errors_that_name_the_cache(name):
            torch.hub.download_url_to_file(url, str(path), progress=False)
    return _read(path, name)


def _read(path: Path, name: str) -> HubWeights:
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return HubWeights(name, tensors_in(path, name), digest)


def _file_of_repository(repository: str, names: Sequence[str]) -> Path:
    """The first of these files that the repository has, in the cache."""
    owner_and_name, _, given = repository.partition("@")
    revision = given or None
    for name in names:
        cached = try_to_load_from_cache(owner_and_name, name, revision=revision)
        if isinstance(cached, str):
            return Path(cached)
    with _errors_that_name_the_cache(f"{HUB_PREFIX}{repository}"):
        for name in names[:-1]:
            try:
                return Path(hf_hub_download(owner_and_name, name, revision=revision))
            except LocalEntryNotFoundError:
                raise
            except EntryNotFoundError:
                continue
        return Path(hf_hub_download(owner_and_name, names[-1], revision=revision))


@contextmanager
def _errors_that_name_the_cache(name: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        said = first_line(error)
        if isinstance(error, _ABSENT) and not isinstance(error, LocalEntryNotFoundError):
            raise refusal(f"{name} is not on the hub, or the cluster has no access to it (HF_TOKEN): {said}") from error
        if isinstance(error, HfHubHTTPError) and error.response is not None and error.response.status_code >= 500:
            raise StageError(FailureReason.STAGE_ERROR, f"the hub fails for {name}: {said}") from error
        raise refusal(
            f"the weights {name} are not in the cache of the node that runs the stage's driver, and the network did "
            f"not give them ({type(error).__name__}: {said}). The cache is where HF_HOME says, now "
            f"{constants.HF_HOME} (for weights that are not on the hub where TORCH_HOME says, now "
            f"{torch.hub.get_dir()}): fill it on that node, or let the node reach the hub",
        ) from error
