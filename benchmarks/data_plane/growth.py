"""Labeling a pool that has grown by a fifth, when its teacher is the same: what is labeled again, and the seconds.

The pool is the labeling benchmark's photographs. Its first five sixths are labeled, then all of it: once with those
labels to take over, once without. `grow.images_labeled_again` counts the images of the first five sixths that are
labeled again. Images are found by the label stage's own account and by its files: those that were taken over must be
equal, byte for byte.
"""

import json
import logging
import os
import shutil
import time
from pathlib import Path
from typing import Any

from benchmarks.data_plane.labeling import prepare
from benchmarks.data_plane.labeling_contenders import FOLDER, MODELS
from benchmarks.results import row, save
from benchmarks.support.two_cores import hold_to_two_cores
from workers.labeling.stage import run_label
from workers.runtime.stage_reporter import StageReporter
from workers.specs.labeling import ReusableLabels
from workers.specs.results import LabelResult
from workers.specs.stages import ActorPool, LabelSpec, part_name

ROUNDS = int(os.environ.get("ROUNDS", "3"))
COMMAND = "make benchmark-growth"
_WEIGHT = "light"


def main() -> None:
    """Measures all rounds."""
    import ray

    hold_to_two_cores()
    prepare(_WEIGHT)
    cpus = len(os.sched_getaffinity(0))
    ray.init("local", num_cpus=2 * cpus, include_dashboard=False, logging_level=logging.ERROR)
    rounds = [_round() for _ in range(ROUNDS)]
    again = [float(each["again"]) for each in rounds]
    ratios = [each["grown_seconds"] / each["anew_seconds"] for each in rounds]
    seconds = [each["grown_seconds"] for each in rounds]
    save(
        [
            row("grow.images_labeled_again", again, "images of the old part; goal: 0", "", COMMAND),
            row("grow.seconds", seconds, "s for the label stage of a pool that grew by a fifth", "", COMMAND),
            row("grow.of_labeling_anew", ratios, "ratio of seconds", "labeling the whole pool anew", COMMAND),
        ]
    )


def _round() -> dict[str, float]:
    """Labels the old part, the grown pool with those labels, and the grown pool anew."""
    out = (FOLDER / "growth").resolve()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    whole = json.loads((FOLDER / _WEIGHT / "manifest.json").read_text(encoding="utf-8"))
    old_shards = whole["shards"][: len(whole["shards"]) * 5 // 6]
    before = {**whole, "shards": old_shards, "rows": sum(shard["rows"] for shard in old_shards)}
    for name, manifest in (("before", before), ("now", whole)):
        (out / f"{name}.json").write_text(json.dumps(manifest), encoding="utf-8")
    labels = ReusableLabels(
        run_id="benchmark", generation=1, labels_uri=str(out / "old"), manifest_uri=str(out / "before.json")
    )
    _label(out, "old", "before")
    grown, grown_seconds = _label(out, "grown", "now", reusable_labels=(labels,))
    _, anew_seconds = _label(out, "anew", "now")
    names = [part_name(shard) for shard in range(len(old_shards))]
    changed = [name for name in names if (out / "old" / name).read_bytes() != (out / "grown" / name).read_bytes()]
    if changed:
        raise SystemExit(f"{len(changed)} label files of the old part are not as they were, the first {changed[0]}")
    return {
        "again": before["rows"] - grown.images_reused,
        "grown_seconds": grown_seconds,
        "anew_seconds": anew_seconds,
    }


def _label(out: Path, folder: str, manifest: str, **changes: Any) -> tuple[LabelResult, float]:
    (out / folder).mkdir()
    spec = LabelSpec(
        run_id="benchmark",
        generation=1,
        attempt=1,
        folder_uri=str(out / folder),
        seed=0,
        model_uri=str((FOLDER / f"model-{_WEIGHT}").resolve()),
        manifest_uri=str(out / f"{manifest}.json"),
        batch_size=MODELS[_WEIGHT][3],
        pool=ActorPool(max_actors=len(os.sched_getaffinity(0))),
        **changes,
    )
    started_at = time.perf_counter()
    result = run_label(spec, StageReporter(spec, entered_at=time.time()))
    seconds = time.perf_counter() - started_at
    print(folder, f"{result.images} images, {result.images_reused} reused, {seconds:.1f} s", flush=True)
    return result, seconds


if __name__ == "__main__":
    main()
