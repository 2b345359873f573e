"""Traces the origin of a model. It reads the database only, so lineage outlives the artifacts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from service.artifacts.layout import ArtifactLayout
from service.config.datasets import DatasetPart
from service.config.run import GenerationOverrides, RunConfig
from service.config.stage_key import StageKey
from service.errors import NotFound
from service.lifecycle.teachers import teacher_generation
from service.runs.checks import dataset_ids
from service.stages.order import stages_of
from service.stages.spec_inputs import SpecInputs
from service.store.database import Database
from service.store.dataset_store import DATASET_FORMAT, DATASET_ROLE, DIGEST_OF
from service.store.paging import get_row
from service.store.run_store import load_spec_inputs
from service.store.schema.tables import CollectionRow, DatasetRow, ModelRow, StageRow
from service.views.base import time_or_none
from service.views.lineage import CollectedArtifact, DatasetLineage, Lineage, ModelLineage, StageLineage
from workers.specs.devices import Devices
from workers.specs.environment import StageEnvironment
from workers.specs.initialization import INPUT_FIELDS, InitialWeights, InputConfiguration
from workers.specs.recipe import Recipe


class _InitialWeightsPart(BaseModel):
    """The part of the report of a training's initial weights that lineage needs."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    weights: InitialWeights
    configuration: InputConfiguration


class _ResultPart(BaseModel):
    """The part of a StageResult that lineage needs. Parsing all of it would take several times as long."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    attempt: int
    environment: StageEnvironment | None = None
    devices: Devices | None = None
    initial_weights: _InitialWeightsPart | None = None


@dataclass(frozen=True)
class _StageRecord:
    """A stage's recorded result, None if it has not succeeded, and the collections of its artifacts."""

    result: _ResultPart | None = None
    collected: Sequence[CollectionRow] = ()


@dataclass(frozen=True)
class _RunRecord:
    """What the database holds of a run that trained models."""

    inputs: SpecInputs
    models: Mapping[int, ModelRow]
    """By generation."""
    stages: Mapping[tuple[int, str], _StageRecord]
    """By generation and name."""


class LineageQueries:
    """The query for a model's lineage. Thread-safe."""

    def __init__(self, database: Database, layout: ArtifactLayout) -> None:
        self._database = database
        self._layout = layout

    def model_lineage(self, model_id: str) -> ModelLineage:
        """Returns the model's lineage: data, teachers, plans and code versions. Raises NotFound."""
        with self._database.read() as session:
            row = get_row(session, ModelRow, model_id, "model", model_id)
            run = _load_run(session, row.run_id)
            lineage = self._lineage(session, run, row.generation)
            imported = row.imported_from is not None
            parts = _checked(run.inputs) if imported else _parts(run.inputs, row.generation)
            return ModelLineage(
                **dict(lineage),
                datasets=self._datasets(session, parts),
                run_config=None if imported else reproducing_config(run.inputs, row.generation),
            )

    def _lineage(self, session: Session, run: _RunRecord, generation: int) -> Lineage:
        inputs, stages = run.inputs, run.stages
        row, plan = run.models[generation], inputs.plans[generation]
        _, recipe = inputs.student_of(generation)
        is_student = generation > 0
        names = stages_of(generation, plan)
        made = "train" if row.imported_from is None else "verify"
        trained = stages.get((generation, made), _StageRecord()).result
        began_with = None if trained is None else trained.initial_weights
        return Lineage(
            model_id=row.id,
            run_id=row.run_id,
            generation=generation,
            model=row.model,
            uri=row.uri,
            imported_from=row.imported_from,
            kept=row.kept,
            seed=plan.seed,
            recipe=_as_made(recipe, row, began_with),
            initial_weights=None if began_with is None else began_with.weights,
            selection=plan.selection if is_student else None,
            views=inputs.config.labeling.views if is_student else None,
            further_teachers=inputs.config.labeling.further_teachers if is_student else (),
            labels_uri=self._layout.stage_folder(StageKey(row.run_id, generation, "label")) if is_student else None,
            selection_uri=self._layout.stage_folder(StageKey(row.run_id, generation, "select")) if is_student else None,
            gate_on=None if inputs.config.gate is None else inputs.config.gate.on,
            stages=[
                self._stage(StageKey(row.run_id, generation, name), stages.get((generation, name), _StageRecord()))
                for name in names
            ],
            teacher_id=_teacher_id(run, generation) if is_student else None,
            teacher=self._teacher(session, run, generation) if is_student else None,
        )

    def _teacher(self, session: Session, run: _RunRecord, generation: int) -> Lineage | None:
        """Returns the lineage of the teacher; None if it is of another run that the caller may not see."""
        number = _teacher_generation(run, generation)
        if number in run.models:
            return self._lineage(session, run, number)
        row = session.get(ModelRow, _teacher_id(run, generation))
        if row is None:
            return None
        try:
            return self._lineage(session, _load_run(session, row.run_id), row.generation)
        except NotFound:
            return None  # its run's labeled dataset

    def _stage(self, key: StageKey, record: _StageRecord) -> StageLineage:
        result = record.result
        return StageLineage(
            name=key.stage,
            attempt=None if result is None else result.attempt,
            folder_uri=self._layout.stage_folder(key),
            result_uri=self._layout.result(key),
            environment=None if result is None else result.environment,
            devices=None if result is None else result.devices,
            collected=[
                CollectedArtifact(
                    artifact=each.artifact,
                    files=each.files,
                    bytes=each.bytes,
                    digest=each.digest,
                    collected_at=time_or_none(each.collected_at),
                )
                for each in record.collected
            ],
        )

    def _datasets(self, session: Session, parts: Mapping[str, str]) -> list[DatasetLineage]:
        rows = {
            row.id: row for row in session.scalars(select(DatasetRow).where(DatasetRow.id.in_(list(parts.values()))))
        }
        # A caller sees only the datasets of its projects.
        return [self._dataset(part, rows[dataset]) for part, dataset in parts.items() if dataset in rows]

    def _dataset(self, part: str, row: DatasetRow) -> DatasetLineage:
        return DatasetLineage(
            part=part,
            id=row.id,
            name=row.name,
            role=DATASET_ROLE.validate_python(row.role),
            format=DATASET_FORMAT.validate_python(row.format),
            uri=row.uri,
            manifest_uri=self._layout.manifest(row.id),
            rows=row.rows,
            shards=row.shards,
            digest=row.digest,
            digest_of=None if row.digest_of is None else DIGEST_OF.validate_python(row.digest_of),
            split_off=None if row.part is None else DatasetPart.model_validate_json(row.part),
        )


def _parts(inputs: SpecInputs, generation: int) -> dict[str, str]:
    """Returns the ids of a run's datasets by their part, with the pools that generations had to themselves."""
    plans = {number: inputs.plans[number] for number in range(1, generation + 1)}
    pools = {f"unlabeled.{number}": plan.unlabeled for number, plan in plans.items() if plan.unlabeled is not None}
    return dataset_ids(inputs.config.datasets) | inputs.config.evaluation.external_datasets | pools


def _checked(inputs: SpecInputs) -> dict[str, str]:
    """Returns the dataset whose images an imported model has labeled. It has learned from others."""
    return {"check": inputs.config.datasets.labeled}


def _as_made(recipe: Recipe, row: ModelRow, began_with: _InitialWeightsPart | None) -> Recipe:
    """Returns the recipe as trained. Of an imported model only the fields are known that say how it sees pictures."""
    if began_with is None:
        return recipe
    if row.imported_from is None:
        return recipe.followed(began_with.configuration)
    return recipe.model_copy(update={name: getattr(began_with.configuration, name) for name in INPUT_FIELDS})


def _load_run(session: Session, run_id: str) -> _RunRecord:
    """Raises NotFound for a caller who may not see the labeled dataset."""
    models = {each.generation: each for each in session.scalars(select(ModelRow).where(ModelRow.run_id == run_id))}
    return _RunRecord(load_spec_inputs(session, run_id), models, _load_stages(session, run_id))


def _teacher_generation(run: _RunRecord, generation: int) -> int:
    given = () if run.inputs.config.teacher is None else (0,)
    found = teacher_generation(generation, {*run.models, *given}, run.inputs.not_promoted, run.inputs.chosen_teachers)
    assert found is not None  # otherwise no stage could have labeled for it
    return found


def _teacher_id(run: _RunRecord, generation: int) -> str:
    number, given = _teacher_generation(run, generation), run.inputs.config.teacher
    return given.model if number not in run.models and given is not None else run.models[number].id


def _load_stages(session: Session, run_id: str) -> dict[tuple[int, str], _StageRecord]:
    """Returns the run's stages by generation and name. It uses two queries, since a run may have hundreds of stages."""
    collected: dict[tuple[int, str], list[CollectionRow]] = {}
    rows = session.scalars(
        select(CollectionRow)
        .where(CollectionRow.run_id == run_id, or_(CollectionRow.files.is_(None), CollectionRow.files > 0))
        .order_by(CollectionRow.artifact)
    )
    for row in rows:
        collected.setdefault((row.generation, row.stage), []).append(row)
    stages = session.execute(
        select(StageRow.generation, StageRow.name, StageRow.result).where(StageRow.run_id == run_id)
    )
    return {
        (generation, name): _StageRecord(
            None if result is None else _ResultPart.model_validate_json(result), collected.get((generation, name), ())
        )
        for generation, name, result in stages
    }


def reproducing_config(inputs: SpecInputs, generation: int) -> RunConfig:
    """Returns the configuration of a run that reproduces the models up to `generation`.

    Each student is configured as it was trained: the winner of a search replaces the search. A repeated search could
    choose another winner, because the order of its trials' reports decides which trials it stops early.
    """
    students = range(1, generation + 1)
    models = [inputs.student_of(number)[0] for number in students]
    overrides = {
        str(number): GenerationOverrides(
            recipe=inputs.student_of(number)[1],
            selection=inputs.plans[number].selection,
            seed=inputs.plans[number].seed,
            unlabeled=inputs.plans[number].unlabeled,
            teacher=inputs.plans[number].teacher,
        )
        for number in students
    }
    return inputs.config.model_copy(
        update={
            "student_models": tuple(models),
            "generations": generation,
            "search": None,
            "generation_overrides": overrides,
        }
    )
