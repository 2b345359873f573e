"""Writes results of stages that never ran, as large as real ones."""

import time
from typing import Any

from workers.artifact_io import join_uri, write_bytes
from workers.specs.reports import Progress
from workers.specs.results import (
    AnyStageResult,
    ClassSelection,
    Confusion,
    EvaluateResult,
    LabelResult,
    Metrics,
    SelectResult,
    StageTiming,
    TrainResult,
)
from workers.specs.stages import PROGRESS_FILE, RESULT_FILE, AnyStageSpec

_CLASSES = tuple(str(digit) for digit in range(10))


def write_result(spec: AnyStageSpec) -> None:
    """Writes what the stage would leave behind after it has succeeded."""
    write_progress(spec, done=100)
    write_bytes(join_uri(spec.folder_uri, RESULT_FILE), _result(spec).model_dump_json().encode())


def write_progress(spec: AnyStageSpec, done: int) -> None:
    """Writes that `done` of 100 units of the stage are done."""
    now = time.time()
    progress = Progress(
        attempt=spec.attempt,
        done=done,
        total=100,
        unit="steps",
        entered_at=now,
        work_started_at=now,
        updated_at=now,
        advanced_at=now,
        values={"loss": 0.5, "images_per_second": 1000.0, "learning_rate": 0.003},
    )
    write_bytes(join_uri(spec.folder_uri, PROGRESS_FILE), progress.model_dump_json().encode())


def _result(spec: AnyStageSpec) -> AnyStageResult:
    now = time.time()
    common: dict[str, Any] = {
        "attempt": spec.attempt,
        "timing": StageTiming(entered_at=now, work_started_at=now, work_ended_at=now),
    }
    match spec.stage:
        case "train":
            return TrainResult(
                **common,
                model_uri=spec.folder_uri,
                parameters=400_000,
                steps=500,
                resumed_from_step=0,
                images_seen=64_000,
                final_loss=0.5,
                validation_top1=0.95,
                bad_images=0,
            )
        case "label":
            return LabelResult(
                **common,
                images=3400,
                labeled=3400,
                bad_images=0,
                shards=8,
                shards_resumed=0,
                mean_confidence=0.9,
                images_per_second=1000.0,
            )
        case "select":
            chosen = [ClassSelection(name=each, labeled=340, confident=300, kept=300, copies=300) for each in _CLASSES]
            return SelectResult(
                **common,
                images_labeled=3400,
                dropped_bad=0,
                dropped_held_out=0,
                dropped_low_confidence=400,
                dropped_over_cap=0,
                kept=3000,
                copies=3000,
                classes=tuple(chosen),
            )
        case "evaluate":
            metrics = Metrics(
                images=1000,
                top1=0.95,
                top5=1.0,
                per_class=dict.fromkeys(_CLASSES, 0.95),
                expected_calibration_error=0.05,
                confusion=Confusion(
                    classes=10, counts=tuple((i, j, 95 if i == j else 1) for i in range(10) for j in range(10))
                ),
            )
            return EvaluateResult(**common, metrics=metrics, bad_images=0)
        case _:
            raise ValueError(f"no {spec.stage} stage is played")
