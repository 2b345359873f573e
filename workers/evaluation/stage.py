"""Runs the evaluate stage: the evaluation set goes to the pool, a shard at a time. Free of torch in the driver."""

from functools import partial

from workers.evaluation.metrics import Judged, MetricSums
from workers.evaluation.pseudo_label_truth import judge_pseudo_labels
from workers.models.bad_data import check_bad_images, require_manifest
from workers.models.shard_pool import ShardFunction, map_shards
from workers.models.work_clock import WorkClock
from workers.specs.stages import EvaluateResult, EvaluateSpec, FailureReason
from workers.stage_reporter import StageError, StageReporter


def run_evaluate(spec: EvaluateSpec, reporter: StageReporter) -> EvaluateResult:
    """Judges the model, and the pseudo labels where `spec.pseudo_label_truth` is given.

    Broken images are left out and counted. Raises StageError(BAD_DATA) for a shard that cannot be read and for more
    broken images than max_bad_fraction; StageError(USER_ERROR) where the classes are not the model's.
    """
    manifest = require_manifest(spec.manifest_uri)
    reporter.announce(manifest.rows, "images")
    sums, clock, bad, done = MetricSums(len(manifest.classes)), WorkClock(reporter), 0, 0
    for shard in map_shards(partial(_make_evaluator, spec), range(len(manifest.shards)), spec.pool):
        judged = Judged.from_bytes(shard.payload)
        sums.add(judged)
        rows = manifest.shards[shard.shard_index].rows
        bad += rows - len(judged.truth)
        done += rows
        clock.add(shard.started_at, shard.ended_at)
        reporter.update(done, {"images_per_second": clock.rate(done)})
    check_bad_images(bad, done, spec.max_bad_fraction, spec.manifest_uri)
    if not sums.images:
        raise StageError(FailureReason.BAD_DATA, f"{spec.manifest_uri} has no images")

    truth = spec.pseudo_label_truth
    pseudo_labels = judge_pseudo_labels(truth, manifest.classes) if truth is not None else None
    reporter.end_work()
    return EvaluateResult(
        attempt=spec.attempt,
        timing=reporter.timing(),
        metrics=sums.metrics(manifest.classes),
        bad_images=bad,
        pseudo_labels=pseudo_labels,
    )


def _make_evaluator(spec: EvaluateSpec) -> ShardFunction:
    from workers.evaluation.shard_evaluator import ShardEvaluator  # torch, in the actors only

    return ShardEvaluator(spec)
