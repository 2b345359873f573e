"""Shows a running stage's figures in Prometheus, beside Ray's own, by `ray.util.metrics`.

https://docs.ray.io/en/latest/ray-observability/user-guides/add-app-metrics.html
Ray puts `ray_` before the names. It drops a series some 20 seconds after its process has ended, so there are about as
many as stages that run.
"""

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ray.util.metrics import Gauge

STAGE_FIGURES: Mapping[str, tuple[str, str]] = {
    "images_per_second": ("noisy_student_stage_images_per_second", "Images per second since the work began."),
    "loss": ("noisy_student_stage_loss", "The training's latest mean loss."),
    "validation_top1": ("noisy_student_stage_accuracy", "The model's latest accuracy on validation images."),
    "gpu_memory_bytes": ("noisy_student_stage_gpu_memory_bytes", "Peak GPU memory of the first training process."),
}
"""The metric and its description, by the name that the value has in progress.json."""


class StageFigures:
    """The gauges of one stage. They exist once there is a value, and only in a process that is part of a cluster."""

    def __init__(self, run_id: str, generation: int, stage: str) -> None:
        self._tags = {"run": run_id, "generation": str(generation), "stage": stage}
        self._gauges: dict[str, Gauge] = {}

    def show(self, values: Mapping[str, float]) -> None:
        """Sets the gauges to the latest values."""
        if not _is_part_of_a_cluster():
            return
        for name in STAGE_FIGURES.keys() & values.keys():
            self._gauge(name).set(values[name])

    def _gauge(self, name: str) -> "Gauge":
        if name not in self._gauges:
            from ray.util.metrics import Gauge

            metric, meaning = STAGE_FIGURES[name]
            self._gauges[name] = Gauge(metric, meaning, tag_keys=tuple(self._tags))
            self._gauges[name].set_default_tags(self._tags)
        return self._gauges[name]


def _is_part_of_a_cluster() -> bool:
    """Whether this process has joined a cluster. It imports no Ray to find out, which would take a second."""
    ray = sys.modules.get("ray")
    return ray is not None and bool(ray.is_initialized())
