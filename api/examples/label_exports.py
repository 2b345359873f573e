"""An example of where pseudo labels are, as OpenAPI shows it."""

from workers.specs.label_export import LabelSource

_FOLDER = "s3://artifacts/runs/run-3f9c2a71d0/gen-1"
LABEL_SOURCE = LabelSource(
    run_id="run-3f9c2a71d0",
    generation=1,
    teachers=("run-3f9c2a71d0-g0",),
    classes=tuple(map(str, range(10))),
    dataset="ds-8a41c0de55",
    manifest_uri="s3://artifacts/datasets/ds-8a41c0de55/manifest.json",
    shards=8,
    labels_uri=f"{_FOLDER}/label",
    selection_uri=f"{_FOLDER}/select",
    min_confidences=(0.8,) * 10,
    drops_near_duplicates=False,
    drops_duplicates=False,
)
