"""All checks of a run before it is started or planned."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.artifacts.bulkhead import artifact_store
from service.artifacts.layout import ArtifactLayout
from service.config.run import RunConfig
from service.dataset_roots import RootsByProject
from service.datasets.registration.inspector_pool import InspectorPool
from service.datasets.registration.messages import LabelsJob
from service.errors import InvalidRequest
from service.model_catalog import CatalogModel
from service.runs.checks import (
    DatasetFacts,
    check_datasets,
    check_external_sets,
    check_images_kept_apart,
    check_models,
    class_difference,
    dataset_ids,
    named,
)
from service.runs.shared_images import examples, shared_places
from service.runs.training_checks import check_views
from service.stages.generation_plans import generation_plans
from service.store.database import Database
from service.store.dataset_store import CLASSES
from service.store.run_store import load_config, load_plans, load_results
from service.store.schema.tables import DatasetRow, GenerationRow, ModelRow
from workers.artifact_io import exists, join_uri
from workers.data.dataset_roots import DatasetRoots, OutsideOfRoots, plain_dataset_uri
from workers.data.hashes import read_hashes
from workers.specs.initialization import INPUT_FIELDS, FileInit, ModelInit
from workers.specs.labeling import ImportedTable
from workers.specs.model_card import MODEL_CARD_FILE, WEIGHTS_FILE, place_of_model
from workers.specs.recipe import Recipe
from workers.specs.results import SearchResult, VerifyResult


@dataclass(frozen=True)
class TeacherFacts:
    """What the checks need to know about a trained model that is to label, or to begin with."""

    id: str
    field: str
    uri: str
    recipe: Recipe
    classes: tuple[str, ...]
    learned_from: tuple[DatasetFacts, ...]
    """The labeled images that it learned from, and the unlabeled ones unless it is a first teacher. Empty for an
    imported model, of which nobody knows it."""


@dataclass(frozen=True)
class CheckedRun:
    """The datasets of a run that can work, by id, and the trained models that label for it."""

    datasets: dict[str, DatasetFacts]
    teachers: list[TeacherFacts]


def check_new_run(
    database: Database,
    layout: ArtifactLayout,
    roots: RootsByProject,
    config: RunConfig,
    catalog: Mapping[str, CatalogModel],
    inspectors: InspectorPool,
) -> CheckedRun:
    """Checks the whole run and returns what it found. Raises InvalidRequest if the run cannot work."""
    with database.read_once() as session:  # the rows that it reads never change
        external = [each.dataset for each in config.evaluation.external]
        found = _dataset_facts(session, [*dataset_ids(config.datasets).values(), *external])
        check_reference(session, config)
        teachers = [
            teacher_facts(session, f"labeling.further_teachers.{index}", name)
            for index, name in enumerate(config.labeling.further_teachers)
        ]
        if config.teacher is not None:
            teachers.insert(0, teacher_facts(session, "teacher.model", config.teacher.model))
        began_with: dict[str, TeacherFacts] = {}
        for field, recipe, model in _recipes(config):
            check_source(session, roots.of(config.project), field, recipe, model)
            if isinstance(recipe.init, ModelInit):
                name = recipe.init.id
                began_with.setdefault(name, teacher_facts(session, f"{field}.init.id", name))
    check_datasets(config.datasets, found)
    check_external_sets(config.evaluation, found, found[config.datasets.labeled].classes)
    check_models(config, catalog, len(found[config.datasets.labeled].classes))
    check_images_kept_apart(config.datasets, found, layout)
    if config.labeling.imported is not None:
        _check_imported_labels(config, found[config.datasets.labeled].classes, roots.of(config.project), inspectors)
    for number, overrides in config.generation_overrides.items():
        if overrides.unlabeled is not None:
            check_pool(database, layout, config, f"generation_overrides.{number}.unlabeled", overrides.unlabeled)
    for teacher in began_with.values():
        _check_not_taught_the_answers(config, teacher, found, layout)
    for teacher in teachers:
        check_trained_teacher(config, teacher, found, layout)
    return CheckedRun(found, teachers)


def _check_imported_labels(
    config: RunConfig, classes: tuple[str, ...], roots: DatasetRoots, inspectors: InspectorPool
) -> None:
    """Has a process of its own read all labels, so that no training begins with labels that cannot be used."""
    assert config.labeling.imported is not None
    field = "labeling.imported"
    if not config.generations:
        raise InvalidRequest(field, "a run without generations of students uses no labels")
    try:
        uri = plain_dataset_uri(config.labeling.imported.uri)
        roots.check(uri)
        table = ImportedTable(uri=uri, key_column=config.labeling.imported.key_column, classes=classes)
        inspectors.check_labels(LabelsJob(table=table, roots=roots))
    except OutsideOfRoots as error:
        raise InvalidRequest(f"{field}.uri", str(error)) from error
    except InvalidRequest as error:
        raise InvalidRequest(f"{field}.uri", error.message) from error


def check_pool(database: Database, layout: ArtifactLayout, config: RunConfig, field: str, dataset: str) -> None:
    """Checks that a generation of the run may label another dataset than the run's. Raises InvalidRequest."""
    datasets = config.datasets.model_copy(update={"unlabeled": dataset})
    with database.read_once() as session:
        found = _dataset_facts(session, dataset_ids(datasets).values())
    try:
        check_datasets(datasets, found)
        check_images_kept_apart(datasets, found, layout)
    except InvalidRequest as error:
        raise InvalidRequest(field, error.message) from error


def check_trained_teacher(
    config: RunConfig, teacher: TeacherFacts, found: Mapping[str, DatasetFacts], layout: ArtifactLayout
) -> None:
    """Checks that the model can label this run's images, and that it has learned from none of its evaluation images.

    `found` holds the run's datasets by id. Raises InvalidRequest.
    """
    labeled = found[config.datasets.labeled]
    if teacher.classes != labeled.classes:
        raise InvalidRequest(
            teacher.field,
            f"the classes of {teacher.id} are not those of {named(labeled)}, the labeled dataset: it "
            f"{class_difference(labeled.classes, teacher.classes)}; name a model of the same classes in the "
            "same order",
        )
    check_views(config.labeling.views, f"the recipe of {teacher.id}", teacher.recipe)
    with artifact_store():
        missing = [name for name in (MODEL_CARD_FILE, WEIGHTS_FILE) if not exists(join_uri(teacher.uri, name))]
    if missing:
        raise InvalidRequest(
            teacher.field,
            f"{teacher.id} has lost its {' and '.join(missing)}, which should be in {teacher.uri}: name another model",
        )
    _check_not_taught_the_answers(config, teacher, found, layout)


def _check_not_taught_the_answers(
    config: RunConfig, teacher: TeacherFacts, found: Mapping[str, DatasetFacts], layout: ArtifactLayout
) -> None:
    own = {config.datasets.labeled, config.datasets.unlabeled}
    for learned in teacher.learned_from:
        if learned.id in own or not learned.hashed:
            continue
        for part in ("validation", "test"):
            judged = found[getattr(config.datasets, part)]
            if not judged.hashed:
                continue
            pair = (learned.id, judged.id)
            with artifact_store():
                places = shared_places(*(read_hashes(layout.hashes(each)) for each in pair))
                which = examples(layout, pair, places) if len(places[0]) else ""
            if len(places[0]):
                raise InvalidRequest(
                    teacher.field,
                    f"{teacher.id} learned from {named(learned)}, which shares {len(places[0])} image(s) with "
                    f"{named(judged)}, the {part} dataset{which}: accuracy on it would prove nothing",
                )


def teacher_facts(session: Session, field: str, name: str) -> TeacherFacts:
    """Returns what is known of the model of that id. Raises InvalidRequest, naming `field`, like `trained_model`."""
    model = trained_model(session, field, name)
    if model.imported_from is not None:
        return _imported_teacher(session, field, model)
    config, plans = load_config(session, model.run_id), load_plans(session, model.run_id)
    plan = plans[model.generation]
    searched = load_results(session, model.run_id, SearchResult).get(model.generation) if plan.search else None
    labeled = config.datasets.labeled
    pools = [plans[number].unlabeled or config.datasets.unlabeled for number in range(1, model.generation + 1)]
    learned = list(dict.fromkeys([labeled, *(pool for pool in pools if pool is not None)]))
    found = _dataset_facts(session, learned)
    if len(found) < len(learned):
        raise InvalidRequest(field, f"{name} learned from a dataset that you may not see: name another model")
    recipe = plan.recipe if searched is None else searched.outcome.recipe
    return TeacherFacts(name, field, model.uri, recipe, found[labeled].classes, tuple(found.values()))


def _imported_teacher(session: Session, field: str, model: ModelRow) -> TeacherFacts:
    checked = load_results(session, model.run_id, VerifyResult)[model.generation]
    seen = checked.initial_weights.configuration
    recipe = Recipe(unlabeled_ratio=0, **{name: getattr(seen, name) for name in INPUT_FIELDS})
    return TeacherFacts(model.id, field, model.uri, recipe, checked.classes, ())


def trained_model(session: Session, field: str, name: str) -> ModelRow:
    """Returns the model of that id. Raises InvalidRequest, naming `field`, if there is none, or none yet."""
    model = session.get(ModelRow, name)
    if model is not None:
        return model
    place = place_of_model(name)
    generation = None if place is None else session.get(GenerationRow, place)
    if generation is None:
        raise InvalidRequest(field, f"there is no model {name!r}: GET /models lists them")
    raise InvalidRequest(
        field, f"{name} has not been trained, its generation is {generation.state}: name a model that has"
    )


def _dataset_facts(session: Session, ids: Iterable[str]) -> dict[str, DatasetFacts]:
    rows = session.scalars(select(DatasetRow).where(DatasetRow.id.in_(list(ids))))
    return {
        row.id: DatasetFacts(
            id=row.id,
            name=row.name,
            role=row.role,
            classes=CLASSES.validate_json(row.classes),
            rows=row.rows,
            hashed=row.hashed,
        )
        for row in rows
    }


def _recipes(config: RunConfig) -> Iterator[tuple[str, Recipe, str]]:
    """Yields the recipe of each generation with its field and its model."""
    for number, plan in enumerate(generation_plans(config)):
        if plan.given is not None:
            continue
        if number == 0:
            field = "teacher_recipe"
        elif str(number) in config.generation_overrides and config.generation_overrides[str(number)].recipe:
            field = f"generation_overrides.{number}.recipe"
        else:
            field = "student_recipe"
        yield field, plan.recipe, plan.model


def check_source(session: Session, roots: DatasetRoots, field: str, recipe: Recipe, model: str) -> None:
    """Checks that the file or the model that a recipe begins with may be used and belongs to `model`.

    Files lie where datasets of the project may. Raises InvalidRequest; the stage finds out whether the file is there.
    """
    match recipe.init:
        case FileInit(uri=uri):
            try:
                roots.check(plain_dataset_uri(uri))
            except OutsideOfRoots as error:
                raise InvalidRequest(f"{field}.init.uri", str(error)) from error
        case ModelInit(id=name):
            found = trained_model(session, f"{field}.init.id", name)
            if found.model != model:
                raise InvalidRequest(f"{field}.init.id", f"{name} is a {found.model}, and this recipe trains a {model}")
        case _:
            pass


_FIELD = "evaluation.reference"


def check_reference(session: Session, config: RunConfig) -> None:
    """Checks that the reference model exists and was evaluated on the run's test set with the same robustness settings.

    Raises InvalidRequest.
    """
    name = config.evaluation.reference
    if name is None:
        return
    model = session.get(ModelRow, name)
    if model is None:
        raise InvalidRequest(_FIELD, f"there is no model {name!r}")
    if model.test_top1 is None:
        raise InvalidRequest(_FIELD, f"{name} has not been evaluated")
    judged = load_config(session, model.run_id)
    if judged.datasets.test != config.datasets.test:
        raise InvalidRequest(_FIELD, f"{name} was evaluated on {judged.datasets.test}, not on {config.datasets.test}")
    if judged.evaluation.robustness != config.evaluation.robustness:
        raise InvalidRequest(_FIELD, f"{name} was evaluated with other robustness settings")
