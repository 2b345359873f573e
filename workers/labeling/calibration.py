"""Calibrates teachers before they label: actors compute logits of validation images, the driver fits a temperature."""

import io
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from pydantic import ValidationError

from workers.artifact_io import join_uri, read_bytes_if_there, write_bytes
from workers.data.order.sampled_rows import sampled_rows
from workers.labeling.temperature import fit_temperature
from workers.runtime.bad_data import require_manifest
from workers.runtime.shard_pool import ShardFunction, map_shards
from workers.runtime.stage_reporter import StageError
from workers.specs.base import Frozen
from workers.specs.labeling import LabeledBy
from workers.specs.reports import FailureReason
from workers.specs.results import Calibration, ReliabilityBin
from workers.specs.stages import RELIABILITY_FILE, LabelSpec

if TYPE_CHECKING:
    from matplotlib.axes import Axes  # matplotlib is imported where something is drawn

CALIBRATION_FILE = "calibration.json"
"""The fit. It is written before the first label file, so that a rerun labels with the same temperature."""


class _Fit(Frozen):
    """The content of calibration.json."""

    fitted_for: LabeledBy
    """Whose answers at temperature 1 were fitted."""
    fitted_on: tuple[str, int] | None = None
    """The manifest and the number of the images, None in files of earlier versions."""
    calibration: Calibration


def calibrate(spec: LabelSpec) -> Calibration | None:
    """Fits the temperature of the teachers' mean (Guo et al. 2017); None if the spec asks for no calibration.

    A temperature that an earlier attempt has fitted for the same teachers and views is used again, and so is one of a
    stage whose labels may be taken over, if it was fitted on the same images. Raises
    StageError(BAD_DATA) if no validation image can be read.
    """
    if spec.calibration_manifest_uri is None:
        return None
    fitted_for = spec.labeled_by(temperature=1.0)
    fitted_on = (spec.calibration_manifest_uri, spec.calibration_sample)
    own = _earlier_fit(spec.folder_uri)
    if own is not None and own.fitted_for == fitted_for:
        return own.calibration
    for labels in spec.reusable_labels:
        found = _earlier_fit(labels.labels_uri)
        if found is not None and (found.fitted_for, found.fitted_on) == (fitted_for, fitted_on):
            _keep(spec, found)
            return found.calibration
    manifest = require_manifest(spec.calibration_manifest_uri)
    classes = len(manifest.classes)
    shards = list(sampled_rows(manifest, spec.calibration_sample))
    parts = [
        np.frombuffer(shard.payload, dtype=np.float32).reshape(-1, classes + 1)
        for shard in map_shards(partial(_make_collector, spec), shards, spec.pool)
    ]
    table = np.concatenate([np.empty((0, classes + 1), dtype=np.float32), *parts])
    if not len(table):
        raise StageError(FailureReason.BAD_DATA, f"no image of {spec.calibration_manifest_uri} can be read")
    # Shards arrive in any order. Sorted, they have the same sums to the last bit.
    table = table[np.lexsort(table.T)]
    fitted = fit_temperature(table[:, :-1], table[:, -1].astype(np.int64))
    _keep(spec, _Fit(fitted_for=fitted_for, fitted_on=fitted_on, calibration=fitted))
    return fitted


def _keep(spec: LabelSpec, fit: _Fit) -> None:
    write_bytes(join_uri(spec.folder_uri, RELIABILITY_FILE), reliability_diagram(fit.calibration))
    write_bytes(join_uri(spec.folder_uri, CALIBRATION_FILE), fit.model_dump_json().encode())


def _earlier_fit(folder_uri: str) -> _Fit | None:
    """The fit of a label folder; None if there is none, or one of a version that did not say for whom."""
    data = read_bytes_if_there(join_uri(folder_uri, CALIBRATION_FILE))
    try:
        return None if data is None else _Fit.model_validate_json(data)
    except ValidationError:
        return None


def reliability_diagram(calibration: Calibration) -> bytes:
    """A reliability diagram (Guo et al. 2017, section 2) as SVG: accuracy by confidence, before and after the fit."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 3.8), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.subplots(1, 2, sharex=True, sharey=True)
    before = f"before: error {100 * calibration.error_before:.1f} %"
    after = f"after, temperature {calibration.temperature:.2f}: error {100 * calibration.error_after:.1f} %"
    _draw(axes[0], calibration.bins_before, before)
    _draw(axes[1], calibration.bins_after, after)
    axes[0].set_ylabel("accuracy")
    axes[0].legend(loc="upper left", frameon=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def _draw(axes: "Axes", bins: tuple[ReliabilityBin, ...], title: str) -> None:
    widths = [each.upper - each.lower for each in bins if each.accuracy is not None]
    lefts = [each.lower for each in bins if each.accuracy is not None]
    accuracies = [each.accuracy for each in bins if each.accuracy is not None]
    confidences = [each.confidence for each in bins if each.confidence is not None]
    axes.bar(lefts, accuracies, widths, align="edge", color="tab:blue", label="accuracy")
    axes.plot(confidences, confidences, "o", color="tab:orange", label="mean confidence")
    axes.plot([0, 1], [0, 1], color="gray", linewidth=1, linestyle="--")
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="confidence")
    axes.set_title(title, loc="left", fontsize=10)


def _make_collector(spec: LabelSpec) -> ShardFunction:
    from workers.labeling.logit_collector import LogitCollector  # torch, in the actors only

    return LogitCollector(spec)
