"""Runs the predict stage: sends every shard without predictions to the pool. Only the actors import torch."""

import logging
from functools import partial

from workers.artifact_io import delete_temporaries, exists, join_uri
from workers.labeling.resumed_shards import finish_shards
from workers.labeling.unfinished_shards import unfinished_shards
from workers.prediction.part_files import read_summary
from workers.prediction.totals import PredictionTotals, outcome_of
from workers.runtime.bad_data import check_bad_images, require_manifest
from workers.runtime.shard_pool import ShardFunction
from workers.runtime.stage_reporter import StageError, StageReporter
from workers.specs.model_card import MODEL_CARD_FILE, WEIGHTS_FILE
from workers.specs.reports import FailureReason
from workers.specs.results import PredictResult
from workers.specs.stages import PredictSpec

logger = logging.getLogger(__name__)


def run_predict(spec: PredictSpec, reporter: StageReporter) -> PredictResult:
    """Has the model answer about every image of the dataset, in a file for each shard.

    Shards that an earlier attempt has predicted are left as they are. Raises StageError(USER_ERROR) if the model is
    gone, and StageError(BAD_DATA) for a shard that cannot be read, or more broken images than max_bad_fraction allows.
    """
    manifest = require_manifest(spec.manifest_uri)
    reporter.announce(manifest.rows, "images")
    _require_model(spec)
    delete_temporaries(spec.folder_uri)
    totals = PredictionTotals()
    read = partial(read_summary, spec.folder_uri, predicted_by=spec.predicted_by)
    missing = list(unfinished_shards(spec.folder_uri, manifest, read, totals.add))
    resumed = len(manifest.shards) - len(missing)
    logger.info("%d shards to predict, %d predicted before", len(missing), resumed)
    make = partial(_make_predictor, spec)
    done_before = totals.summary.rows
    images_per_second = finish_shards(make, missing, spec.pool, done_before, totals.add_payload, reporter)
    summary = totals.summary
    if spec.max_bad_fraction < 1:
        check_bad_images(manifest, summary.bad_by_kind, spec.max_bad_fraction, spec.folder_uri)
    outcome = outcome_of(summary, len(manifest.shards), resumed, images_per_second)
    return PredictResult(attempt=spec.attempt, timing=reporter.timing(), outcome=outcome)


def _require_model(spec: PredictSpec) -> None:
    """Raises StageError(USER_ERROR) if the model's files are gone, before any actor starts."""
    missing = [name for name in (MODEL_CARD_FILE, WEIGHTS_FILE) if not exists(join_uri(spec.model_uri, name))]
    if missing:
        raise StageError(
            FailureReason.USER_ERROR,
            f"model: {spec.model_id} has lost its {' and '.join(missing)}, which should be in {spec.model_uri}",
        )


def _make_predictor(spec: PredictSpec) -> ShardFunction:
    from workers.data.shards.shard_readers import load_manifest
    from workers.models.device import allotted_device
    from workers.prediction.shard_predictor import ShardPredictor  # torch, in the actors only

    return ShardPredictor(
        spec.model_uri,
        load_manifest(spec.manifest_uri),
        spec.folder_uri,
        spec.predicted_by,
        allotted_device(spec.pool.gpus),
        cpus=spec.pool.cpus_per_actor,
        batch_size=spec.batch_size,
    )
