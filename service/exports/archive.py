"""The archive of a model: a zip of a folder that timm loads, written while it is sent."""

from collections.abc import Iterator
from dataclasses import dataclass

from zipstream import ZipStream

from service.artifacts.bulkhead import artifact_store
from service.errors import Conflict
from service.exports.card import README_FILE, model_card_text
from service.exports.facts import DescribedModel, read_facts
from service.exports.file_blocks import file_blocks
from service.runs.lineage import LineageQueries
from service.store.database import Database
from service.store.stored_values import read
from workers.artifact_io import join_uri, list_files, read_bytes
from workers.specs.model_card import MODEL_CARD_FILE, WEIGHTS_FILE, ModelCard
from workers.specs.timm_config import TIMM_CONFIG_FILE, timm_config


@dataclass(frozen=True)
class ModelArchive:
    """A zip that is not yet written. `blocks` can be taken once."""

    name: str
    size: int
    """In bytes. A reader that got fewer has not got the archive."""
    blocks: Iterator[bytes]
    """It raises ArtifactStoreUnavailable if the store fails meanwhile."""


class ModelArchives:
    """Makes archives of models. Thread-safe."""

    def __init__(self, database: Database, lineage: LineageQueries) -> None:
        self._database = database
        self._lineage = lineage

    def archive(self, model_id: str) -> ModelArchive:
        """Returns the archive of a model's folder, named as the model, with its card as of now.

        A folder of an earlier release, without timm's configuration, gets one. Raises NotFound, Conflict if its files
        are gone or unreadable, ArtifactStoreUnavailable.
        """
        facts = read_facts(self._database, self._lineage, model_id)
        folder = facts.model.uri
        with artifact_store():
            sizes = list_files(folder)
            missing = [name for name in (WEIGHTS_FILE, MODEL_CARD_FILE) if name not in sizes]
            if missing:
                raise Conflict(f"the model {model_id} has no {' and no '.join(missing)} in {folder}")
            card_bytes = read_bytes(join_uri(folder, MODEL_CARD_FILE))
            config = read_bytes(join_uri(folder, TIMM_CONFIG_FILE)) if TIMM_CONFIG_FILE in sizes else None
        card = read(ModelCard, card_bytes.decode(), model_id)
        archive = ZipStream(sized=True)
        small = {
            README_FILE: model_card_text(DescribedModel(facts, card)).encode(),
            TIMM_CONFIG_FILE: config or timm_config(card).encode(),
            MODEL_CARD_FILE: card_bytes,
        }
        for name, content in small.items():
            archive.add(content, f"{model_id}/{name}")
        # The weights come last: who has only a part of the archive cannot take it for a model.
        weights = file_blocks(join_uri(folder, WEIGHTS_FILE))
        archive.add(weights, f"{model_id}/{WEIGHTS_FILE}", size=sizes[WEIGHTS_FILE])
        return ModelArchive(f"{model_id}.zip", len(archive), iter(archive))
