"""Runs the evaluate stage: sends all its pieces to one pool. The driver imports no torch."""

import json
from collections import Counter
from functools import partial

from pydantic import ValidationError

from workers.artifact_io import delete_folder, join_uri, read_bytes
from workers.data.quarantine import kinds_in
from workers.evaluation.metrics import Judged, MetricSums
from workers.evaluation.pseudo_label_truth import judge_pseudo_labels
from workers.evaluation.quarantined import quarantine_uri
from workers.evaluation.robustness_sums import robustness_result
from workers.evaluation.work_items import WorkItem, work_items
from workers.runtime.bad_data import check_bad_images, require_manifest
from workers.runtime.shard_pool import ShardFunction, map_shards
from workers.runtime.stage_reporter import StageError, StageReporter
from workers.runtime.work_clock import WorkClock
from workers.specs.datasets import DatasetManifest
from workers.specs.hygiene import BrokenKind
from workers.specs.model_card import model_id
from workers.specs.reports import FailureReason
from workers.specs.results import EvaluateResult, Metrics, ValidationMetrics
from workers.specs.robustness import RobustnessResult, RobustnessSettings
from workers.specs.stages import QUARANTINE_FOLDER, EvaluateSpec


def run_evaluate(spec: EvaluateSpec, reporter: StageReporter) -> EvaluateResult:
    """Judges the model on the test set and the external sets (Xie et al., sections 3.2 to 3.4).

    If the run's gate looks at validation images, these are judged as well. With `spec.robustness` the robustness of the
    model is measured too, and with `spec.pseudo_label_truth` the pseudo labels are judged. Broken images are left out,
    counted, and listed in quarantine/. Raises StageError(BAD_DATA) for a shard that cannot be read, and for more broken
    images in a set than max_bad_fraction allows. Raises StageError(USER_ERROR) if the classes are not the model's, or
    the reference was measured in another way.
    """
    uris = spec.manifest_uris
    manifests = [require_manifest(uri) for uri in uris]
    reference = _read_reference(spec)
    items = work_items(manifests, spec.robustness, spec.robustness_of_validation)
    delete_folder(join_uri(spec.folder_uri, QUARANTINE_FOLDER))  # of an earlier attempt; images may have been mended
    sums = [MetricSums(len(manifest.classes)) for manifest in manifests]
    counts = _work(spec, reporter, items, sums)
    for uri, manifest, judged in zip(uris, manifests, sums, strict=True):
        quarantine = quarantine_uri(spec, manifest)
        kinds = kinds_in(quarantine) if judged.images < manifest.rows else Counter[BrokenKind]()
        check_bad_images(manifest, kinds, spec.max_bad_fraction, quarantine)
        if not judged.images:
            raise StageError(FailureReason.BAD_DATA, f"{uri} has no images")
    result = EvaluateResult(
        attempt=spec.attempt,
        timing=reporter.timing(),
        metrics=sums[0].metrics(manifests[0].classes),
        bad_images=manifests[0].rows - sums[0].images,
        pseudo_labels=_pseudo_labels(spec, manifests[0]),
        robustness=_robustness(spec, spec.robustness, counts[0], reference.robustness if reference else None),
        external={
            external.name: judged.metrics(manifest.classes)
            for external, manifest, judged in zip(spec.external, manifests[1:], sums[1:], strict=False)
        },
        validation=_validation(spec, manifests, sums, counts, reference),
    )
    reporter.end_work()
    return result.model_copy(update={"timing": reporter.timing()})


def _work(
    spec: EvaluateSpec, reporter: StageReporter, items: list[WorkItem], sums: list[MetricSums]
) -> list[Counter[str]]:
    """Adds judged images to `sums` and returns the counts of robustness; both have one entry a dataset."""
    reporter.announce(sum(item.images for item in items), "images")
    counts = [Counter[str]() for _ in sums]
    clock, done = WorkClock(reporter), 0
    for piece in map_shards(partial(_make_evaluator, spec), range(len(items)), spec.pool):
        item = items[piece.shard_index]
        if item.kind == "judge":
            sums[item.dataset].add(Judged.from_bytes(piece.payload))
        else:
            counts[item.dataset].update(json.loads(piece.payload))
        done += item.images
        clock.add(piece.started_at, piece.ended_at)
        reporter.update(done, {"images_per_second": clock.rate(done)})
        reporter.pause_if_asked()
    return counts


def _make_evaluator(spec: EvaluateSpec) -> ShardFunction:
    from workers.evaluation.evaluator import Evaluator  # torch, in the actors only

    return Evaluator(spec)


def _pseudo_labels(spec: EvaluateSpec, manifest: DatasetManifest) -> Metrics | None:
    truth = spec.pseudo_label_truth
    return judge_pseudo_labels(truth, manifest.classes) if truth is not None else None


def _validation(
    spec: EvaluateSpec,
    manifests: list[DatasetManifest],
    sums: list[MetricSums],
    counts: list[Counter[str]],
    reference: EvaluateResult | None,
) -> ValidationMetrics | None:
    place = spec.place_of_validation
    if place is None:
        return None
    of_reference = reference.validation.robustness if reference and reference.validation else None
    return ValidationMetrics(
        metrics=sums[place].metrics(manifests[place].classes),
        robustness=_robustness(spec, spec.validation_robustness, counts[place], of_reference),
    )


def _robustness(
    spec: EvaluateSpec, settings: RobustnessSettings | None, counts: Counter[str], reference: RobustnessResult | None
) -> RobustnessResult | None:
    if settings is None:
        return None
    reference_id = spec.reference.model_id if spec.reference else model_id(spec.run_id, spec.generation)
    return robustness_result(counts, settings, reference_id, reference)


def _read_reference(spec: EvaluateSpec) -> EvaluateResult | None:
    """The evaluation of the reference model. It is read before any work, so that a missing one costs nothing."""
    if spec.robustness is None or spec.reference is None:
        return None
    try:
        result = EvaluateResult.model_validate_json(read_bytes(spec.reference.result_uri))
    except (FileNotFoundError, ValidationError) as error:
        message = f"the evaluation of the reference {spec.reference.model_id} cannot be read: {error}"
        raise StageError(FailureReason.USER_ERROR, message) from error
    if result.robustness is None:
        message = f"the reference {spec.reference.model_id} was evaluated without robustness"
        raise StageError(FailureReason.USER_ERROR, message)
    if spec.validation_robustness is not None and (result.validation is None or result.validation.robustness is None):
        message = f"the reference {spec.reference.model_id} was evaluated without robustness on validation images"
        raise StageError(FailureReason.USER_ERROR, message)
    return result
