"""Predicts pictures on this machine with a pulled model: no service, no registration, no Ray.

It runs the predict stage's code over the shards that registration would make of the place. Finished shards wait in a
hidden folder beside the output, so that a run that was killed continues from them; the output appears when it is whole.
"""

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from noisy_student.errors import ApiError
from service.config.datasets import DatasetRequest
from service.datasets.inspection import HashLimit, inspect_dataset
from service.errors import InvalidRequest
from service.exports.file_blocks import parquet_batches
from service.exports.tables import TableFormat, table_blocks
from workers.artifact_io import delete_temporaries
from workers.data.errors import ShardReadError
from workers.labeling.unfinished_shards import unfinished_shards
from workers.prediction.part_files import PredictionSummary, read_summary
from workers.prediction.totals import PredictionTotals, outcome_of
from workers.runtime.stage_reporter import StageError
from workers.specs.datasets import DatasetManifest
from workers.specs.model_card import MODEL_CARD_FILE, WEIGHTS_FILE
from workers.specs.prediction import PredictedBy, PredictionOutcome
from workers.specs.stages import part_name

_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class LocalPrediction:
    """What to predict. `place` is a folder, a file or an object store's URI in any form that can be registered."""

    model: Path
    """Folder of the model, as `models pull` makes it."""
    place: str
    output: Path
    kind: TableFormat = "parquet"
    top_k: int | None = 5
    with_labels: bool = False
    """Whether the pictures have labels, which then give the accuracy."""
    batch_size: int = 64

    @property
    def parts(self) -> Path:
        """The hidden folder of what is finished."""
        return parts_beside(self.output)


def parts_beside(output: Path) -> Path:
    """The hidden folder in which the parts of an output wait for each other. It is gone once the output is there."""
    return output.absolute().parent / f".{output.name}.parts"


Tell = Callable[[int, int], None]
"""Is told the rows so far, and all rows."""


def predict_locally(asked: LocalPrediction, tell: Tell) -> PredictionOutcome:
    """Writes the output, and returns what was found. Raises ApiError for what cannot be read or written.

    If anything ends it before, the output is not there (or as it was), and the next call continues.
    """
    try:
        return _predicted(asked, tell)
    except InvalidRequest as error:
        raise ApiError(f"{asked.place}: {error.message}") from error
    except (ShardReadError, StageError) as error:
        raise ApiError(str(error)) from error
    except OSError as error:
        raise ApiError(f"{asked.output} cannot be written: {error}") from error


def _predicted(asked: LocalPrediction, tell: Tell) -> PredictionOutcome:
    missing_files = [name for name in (MODEL_CARD_FILE, WEIGHTS_FILE) if not (asked.model / name).is_file()]
    if missing_files:
        raise ApiError(
            f"{asked.model} has no {' and no '.join(missing_files)}: name a folder that `models pull` has made"
        )
    asked.parts.mkdir(parents=True, exist_ok=True)
    manifest, digest = _inspected(asked)
    by = PredictedBy(model=_digest_of_model(asked.model), dataset=digest, top_k=asked.top_k)
    folder = str(asked.parts)
    delete_temporaries(folder)
    totals = PredictionTotals()
    missing = list(unfinished_shards(folder, manifest, partial(read_summary, folder, predicted_by=by), totals.add))
    resumed = len(manifest.shards) - len(missing)
    rate = _predict_shards(asked, manifest, by, missing, totals, tell)
    _write_output(asked, len(manifest.shards))
    shutil.rmtree(asked.parts, ignore_errors=True)
    return outcome_of(totals.summary, len(manifest.shards), resumed, rate)


def _inspected(asked: LocalPrediction) -> tuple[DatasetManifest, str]:
    """The place's shards and the digest of its files. No image is hashed, since nothing is compared with others."""
    request = DatasetRequest(
        name="pictures", role="evaluation" if asked.with_labels else "unlabeled", uri=_absolute(asked.place)
    )
    found = inspect_dataset(request, "local", str(asked.parts / "list"), HashLimit(images=0, bytes=0))
    return found.manifest, found.digest.value


def _absolute(place: str) -> str:
    return place if "://" in place else str(Path(place).expanduser().resolve())


def _digest_of_model(folder: Path) -> str:
    digest = hashlib.blake2b(digest_size=32)
    for name in (MODEL_CARD_FILE, WEIGHTS_FILE):
        with (folder / name).open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
    return digest.hexdigest()


def _predict_shards(
    asked: LocalPrediction,
    manifest: DatasetManifest,
    by: PredictedBy,
    missing: list[int],
    totals: PredictionTotals,
    tell: Tell,
) -> float:
    """Predicts the missing shards, and returns how many images were predicted a second."""
    import torch

    from workers.prediction.shard_predictor import ShardPredictor

    done = totals.summary.rows
    tell(done, manifest.rows)
    if not missing:
        return 0.0

    def on_rows(count: int) -> None:
        nonlocal done
        done += count
        tell(done, manifest.rows)

    device = "cuda" if torch.cuda.is_available() else "cpu"
    cpus = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    predictor = ShardPredictor(
        str(asked.model), manifest, str(asked.parts), by, device, cpus, asked.batch_size, on_rows
    )
    before, started_at = done, time.monotonic()
    for shard in missing:
        totals.add(PredictionSummary.model_validate_json(predictor(shard)))
    return (done - before) / max(1e-6, time.monotonic() - started_at)


def _write_output(asked: LocalPrediction, shards: int) -> None:
    files = [asked.parts / part_name(shard) for shard in range(shards)]
    schema = pq.read_schema(files[0])
    metadata = {name: value for name, value in (schema.metadata or {}).items() if b"summary" not in name}
    schema = schema.with_metadata(metadata)

    def batches() -> Iterator[pa.RecordBatch]:
        for file in files:
            for batch in parquet_batches(str(file)):
                yield batch.replace_schema_metadata(metadata)

    # Beside the parts, on the same file system: a rename makes it appear whole.
    unfinished = asked.parts / f"output.{asked.kind}"
    with unfinished.open("wb") as target:
        for block in table_blocks(asked.kind, schema, batches()):
            target.write(block)
    unfinished.replace(asked.output)
