"""Reads registered datasets, and which label stages have labeled them."""

from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import TypeAdapter
from sqlalchemy import Select, exists, or_, select
from sqlalchemy.orm import Session

from service.artifacts.layout import ArtifactLayout
from service.config.policies import Artifact
from service.config.run import RunConfig
from service.config.stage_key import StageKey
from service.stages.spec_inputs import SpecInputs
from service.store.schema.reconciler_tables import LabelingRow
from service.store.schema.tables import CollectionRow, DatasetRow, ModelRow, RunRow
from workers.specs.datasets import DatasetFormat, DatasetRole, DigestOf
from workers.specs.labeling import ReusableLabels
from workers.specs.results import LabelResult

CLASSES: TypeAdapter[tuple[str, ...]] = TypeAdapter(tuple[str, ...])
CLASS_COUNTS: TypeAdapter[dict[str, int]] = TypeAdapter(dict[str, int])
WARNINGS: TypeAdapter[tuple[str, ...]] = TypeAdapter(tuple[str, ...])
DATASET_ROLE: TypeAdapter[DatasetRole] = TypeAdapter(DatasetRole)
DATASET_FORMAT: TypeAdapter[DatasetFormat] = TypeAdapter(DatasetFormat)
DIGEST_OF: TypeAdapter[DigestOf] = TypeAdapter(DigestOf)

_URIS: TypeAdapter[tuple[str, ...]] = TypeAdapter(tuple[str, ...])
_MOST_LABELINGS = 20
"""How many earlier label stages a label stage looks at. Each costs it a manifest, and a footer for each shard."""


def load_classes(session: Session, dataset_id: str) -> tuple[str, ...]:
    """Returns the dataset's class names in index order. Raises NoResultFound for an unknown dataset."""
    text = session.execute(select(DatasetRow.classes).where(DatasetRow.id == dataset_id)).scalar_one()
    return CLASSES.validate_json(text)


@dataclass(frozen=True)
class DatasetHead:
    """What the specs of stages contain of a dataset."""

    classes: tuple[str, ...]
    """The class names in index order."""
    hashed: bool
    """Whether the artifact root holds its content hashes."""


def load_dataset_heads(session: Session, dataset_ids: Iterable[str]) -> dict[str, DatasetHead]:
    """Returns the heads of the datasets by id, without those that do not exist."""
    columns = (DatasetRow.id, DatasetRow.classes, DatasetRow.hashed)
    rows = session.execute(select(*columns).where(DatasetRow.id.in_(list(dataset_ids))))
    return {row.id: DatasetHead(CLASSES.validate_json(row.classes), row.hashed) for row in rows}


def load_projects(session: Session, dataset_ids: Iterable[str]) -> frozenset[str]:
    """Returns the projects that the datasets belong to."""
    rows = session.scalars(select(DatasetRow.project).where(DatasetRow.id.in_(list(dataset_ids))).distinct())
    return frozenset(rows)


def record_labeling(session: Session, run_id: str, generation: int, result: LabelResult, now: float) -> None:
    """Records what a label stage has labeled, and by which models. `now` is in Unix seconds."""
    if result.dataset_id is None or result.labeled_by is None or result.labeled_by.imported is not None:
        return  # the stage ran with an earlier version, or no model has labeled
    uris = _URIS.dump_json(result.labeled_by.model_uris).decode()
    session.add(
        LabelingRow(
            run_id=run_id, generation=generation, dataset_id=result.dataset_id, labeler_uris=uris, labeled_at=now
        )
    )


def load_reusable_labels(
    session: Session, inputs: SpecInputs, generation: int, layout: ArtifactLayout
) -> tuple[ReusableLabels, ...]:
    """Returns the labels that the generation's teachers have made of versions of the dataset that it labels.

    Those of the newest version come first.
    """
    dataset = session.get(DatasetRow, inputs.unlabeled(generation))
    if dataset is None:
        return ()
    first = dataset.first or dataset.id
    statement = _labelings(inputs.labeler_uris(generation), inputs.config.project)
    rows = session.execute(
        statement.where(or_(DatasetRow.id == first, DatasetRow.first == first)).limit(_MOST_LABELINGS)
    )
    return tuple(
        ReusableLabels(
            run_id=labeling.run_id,
            generation=labeling.generation,
            labels_uri=layout.stage_folder(StageKey(labeling.run_id, labeling.generation, "label")),
            manifest_uri=layout.manifest(labeling.dataset_id),
        )
        for labeling, _ in rows
    )


def load_labeled_by(session: Session, config: RunConfig) -> list[DatasetRow]:
    """Returns the datasets that the run's given teacher, with its further ones, has labeled before."""
    names = {*(() if config.teacher is None else (config.teacher.model,)), *config.labeling.further_teachers}
    uris = session.scalars(select(ModelRow.uri).where(ModelRow.id.in_(names)))
    rows = session.execute(_labelings(tuple(sorted(uris)), config.project).limit(_MOST_LABELINGS))
    return [dataset for _, dataset in rows]


def is_version_of(one: DatasetRow, other: DatasetRow) -> bool:
    """Whether a dataset is another or a version before it, so that its shards are among the other's."""
    return (one.first or one.id) == (other.first or other.id) and one.version <= other.version


def _labelings(labeler_uris: tuple[str, ...], project: str) -> Select[LabelingRow, DatasetRow]:
    """What these models have labeled, with the dataset, the newest version first: without label files that retention
    has marked, and without those of another project's runs."""
    collected = exists().where(
        CollectionRow.run_id == LabelingRow.run_id,
        CollectionRow.generation == LabelingRow.generation,
        CollectionRow.stage == "label",
        CollectionRow.artifact == Artifact.LABELS,
    )
    return (
        select(LabelingRow, DatasetRow)
        .join(DatasetRow, DatasetRow.id == LabelingRow.dataset_id)
        .join(RunRow, RunRow.id == LabelingRow.run_id)
        .where(LabelingRow.labeler_uris == _URIS.dump_json(labeler_uris).decode())
        .where(RunRow.project == project, ~collected)
        .order_by(DatasetRow.version.desc(), LabelingRow.labeled_at.desc())
    )
