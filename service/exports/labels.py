"""Takes pseudo labels out of the service: where they are, and tables of them that are written while they are sent."""

from collections.abc import Iterator

import pyarrow as pa
from sqlalchemy.orm import Session

from service.artifacts.bulkhead import artifact_store
from service.artifacts.layout import ArtifactLayout
from service.config.stage_key import StageKey
from service.errors import Conflict
from service.exports.download import Download
from service.exports.file_blocks import in_calls
from service.exports.tables import MEDIA_TYPES, table_blocks
from service.lifecycle.states import StageState
from service.store.database import Database
from service.store.dataset_store import load_classes
from service.store.paging import get_row
from service.store.run_store import load_config, load_plans, load_spec_inputs
from service.store.schema.tables import DatasetRow, StageRow
from service.store.stored_values import read
from workers.artifact_io import list_files
from workers.data.errors import ShardReadError
from workers.data.pool_labels import LABEL_SCHEMA, PoolLabels
from workers.specs.label_export import LabelFileFormat, LabelFilter, LabelSource
from workers.specs.results import LabelResult, SelectResult
from workers.specs.stages import part_name


class LabelExports:
    """Exports the pseudo labels of generations. Thread-safe."""

    def __init__(self, database: Database, layout: ArtifactLayout) -> None:
        self._database = database
        self._layout = layout

    def source(self, run_id: str, generation: int) -> LabelSource:
        """Returns where the labels of a generation are, and its selection if there is one.

        Raises NotFound, and Conflict before the generation has labeled, or once retention has deleted its files.
        """
        with self._database.read() as session:
            source = _source(session, self._layout, run_id, generation)
        with artifact_store():
            for uri in filter(None, (source.labels_uri, source.selection_uri)):
                files = list_files(uri)
                missing = [name for name in map(part_name, range(source.shards)) if name not in files]
                if missing:
                    raise Conflict(
                        f"{len(missing)} of {source.shards} label or selection files are gone, such as {missing[0]} in "
                        f"{uri}: retention deletes them once later generations have labels"
                    )
        return source

    def table(self, run_id: str, generation: int, kind: LabelFileFormat, wanted: LabelFilter) -> Download:
        """Returns a table with a row for each wanted image. Raises as `source` does, Conflict also if there is no
        selection and selected images are wanted."""
        source = self.source(run_id, generation)
        if source.selection_uri is None and wanted.which == "selected":
            raise Conflict(
                f"generation {generation} of {run_id} has selected nothing yet: wait for its select stage, or ask for "
                "all labels"
            )
        with artifact_store():
            labels = _opened(source)
        schema = LABEL_SCHEMA.with_metadata({"noisy_student.labels": source.model_dump_json()})
        blocks = table_blocks(kind, schema, _batches(labels, wanted, schema))
        return Download(f"{run_id}-g{generation}-labels.{kind}", MEDIA_TYPES[kind], None, blocks)


def _opened(source: LabelSource) -> PoolLabels:
    try:
        return PoolLabels(source)
    except ShardReadError as error:
        raise Conflict(str(error)) from error


def _batches(labels: PoolLabels, wanted: LabelFilter, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for shard in range(labels.source.shards):
        for batch in in_calls(labels.batches(shard, wanted)):
            yield batch.replace_schema_metadata(schema.metadata)


def _source(session: Session, layout: ArtifactLayout, run_id: str, generation: int) -> LabelSource:
    key = StageKey(run_id, generation, "label")
    label = get_row(session, StageRow, key, "stage", key.stage_id)
    if label.state != StageState.SUCCEEDED or label.result is None:
        raise Conflict(f"{run_id} has not labeled in generation {generation} yet: wait for its label stage")
    select = session.get(StageRow, (run_id, generation, "select"))
    done = select is not None and select.state == StageState.SUCCEEDED and select.result is not None
    chosen = read(SelectResult, select.result, key.stage_id) if done and select is not None and select.result else None
    config, plan = load_config(session, run_id), load_plans(session, run_id)[generation]
    inputs = load_spec_inputs(session, run_id)
    pool_id = inputs.unlabeled(generation)
    pool = get_row(session, DatasetRow, pool_id, "dataset", pool_id)
    classes = load_classes(session, config.datasets.labeled)
    thresholds = {} if chosen is None else {each.name: each.threshold for each in chosen.classes}
    lowest = plan.selection.min_confidence
    labeled = read(LabelResult, label.result, key.stage_id)
    return LabelSource(
        run_id=run_id,
        generation=generation,
        # Imported labels have no teacher.
        teachers=(*inputs.teacher_ids(generation)[:1], *labeled.further_teachers),
        classes=classes,
        dataset=pool.id,
        manifest_uri=layout.manifest(pool.id),
        shards=pool.shards,
        labels_uri=layout.stage_folder(key),
        selection_uri=layout.stage_folder(StageKey(run_id, generation, "select")) if done else None,
        min_confidences=tuple(lowest if (threshold := thresholds.get(name)) is None else threshold for name in classes),
        drops_near_duplicates=chosen is not None and chosen.near_duplicates == "drop",
        drops_duplicates=chosen is not None and plan.selection.duplicates == "drop",
    )
