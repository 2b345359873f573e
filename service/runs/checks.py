"""Checks that refuse a run before it starts because it cannot work or would prove nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from service.artifacts.bulkhead import artifact_store
from service.artifacts.layout import ArtifactLayout
from service.config.run import EvaluationSettings, GenerationOverrides, RunConfig, RunDatasets
from service.errors import InvalidRequest
from service.model_catalog import CatalogModel, parameters_with_head
from service.runs.shared_images import examples, shared_places
from service.runs.training_checks import (
    check_batches,
    check_init,
    check_models_can_begin,
    check_noise,
    check_training,
    check_trials,
    check_views,
)
from service.stages.generation_plans import generation_plans
from service.stages.search_space import searched_models, space_models
from workers.data.hashes import read_hashes
from workers.specs.datasets import DatasetRole
from workers.specs.initialization import HUB_PREFIX
from workers.specs.noise import HIGHEST_MAGNITUDE
from workers.specs.recipe import Recipe
from workers.specs.search import SearchSettings, SearchSpace, searched_rand_augment

ROLES: Mapping[str, DatasetRole] = {
    "labeled": "labeled",
    "unlabeled": "unlabeled",
    "validation": "evaluation",
    "test": "evaluation",
    "pseudo_label_truth": "evaluation",
}
"""The role that a dataset must have for each part it can play in a run."""
KEPT_APART = (
    ("validation", "labeled"),
    ("validation", "unlabeled"),
    ("test", "labeled"),
    ("test", "unlabeled"),
    ("test", "validation"),
)
"""Pairs of parts that may not share an image: accuracy on training images says nothing."""
NAMES_SHOWN = 5


@dataclass(frozen=True)
class DatasetFacts:
    """What the checks need to know about a registered dataset."""

    id: str
    name: str
    role: str
    classes: tuple[str, ...]
    rows: int
    hashed: bool


def dataset_ids(datasets: RunDatasets) -> dict[str, str]:
    """Returns the dataset ids by their part in the run, without the parts that the run leaves out."""
    return {part: dataset for part in ROLES if (dataset := getattr(datasets, part)) is not None}


def check_datasets(datasets: RunDatasets, found: Mapping[str, DatasetFacts]) -> None:
    """Checks that the datasets exist and have the right role, rows and classes.

    `found` holds the registered datasets by id. Raises InvalidRequest.
    """
    for part, dataset_id in dataset_ids(datasets).items():
        field = f"datasets.{part}"
        facts = found.get(dataset_id)
        if facts is None:
            raise InvalidRequest(field, f"there is no dataset {dataset_id!r}")
        if facts.role != ROLES[part]:
            raise InvalidRequest(field, f"{named(facts)} has the role {facts.role}, not {ROLES[part]}")
        if facts.rows == 0:
            raise InvalidRequest(field, f"{named(facts)} has no images")
        if part != "unlabeled":
            _check_same_classes(field, found[datasets.labeled], facts)


def check_images_kept_apart(datasets: RunDatasets, found: Mapping[str, DatasetFacts], layout: ArtifactLayout) -> None:
    """Checks by content hash that training uses no evaluation image, and that validation and test share none.

    Reads the hash files of the datasets that have one. Raises InvalidRequest.
    """
    ids = dataset_ids(datasets)
    for part, other in KEPT_APART:
        if part in ids and ids[part] == ids.get(other):
            raise InvalidRequest(
                f"datasets.{part}",
                f"{named(found[ids[part]])} is the {other} dataset as well: split it and register both parts",
            )
    with artifact_store():
        hashes = {part: read_hashes(layout.hashes(dataset)) for part, dataset in ids.items() if found[dataset].hashed}
    for part, other in KEPT_APART:
        if part not in hashes or other not in hashes:
            continue
        places = shared_places(hashes[part], hashes[other])
        if len(places[0]):
            pair = (ids[part], ids[other])
            with artifact_store():
                which = examples(layout, pair, places)
            raise InvalidRequest(
                f"datasets.{part}",
                f"{named(found[ids[part]])} shares {len(places[0])} image(s) with {named(found[ids[other]])}, "
                f"the {other} dataset{which}: accuracy on it would prove nothing",
            )


def check_models(config: RunConfig, catalog: Mapping[str, CatalogModel], num_classes: int) -> None:
    """Checks the models, their noise and their batches.

    The catalogue must know the models, no student may be smaller than its teacher unless the run allows it, each model
    must have the layers that its noise acts on, and each worker must get enough images per step. Raises InvalidRequest.
    """
    workers = config.resources.train.max_workers
    first = generation_plans(config)[0].model
    trained = [first]
    check_model("teacher_model" if config.teacher is None else "teacher.model", first, catalog)
    if config.teacher is None:
        _check_first_training(config, first, catalog)
    several = len(config.student_models) > 1
    names = config.student_models if several else config.student_models * max(1, config.generations)
    for index, name in enumerate(names):
        override = config.generation_overrides.get(str(index + 1), GenerationOverrides())
        overridden = f"generation_overrides.{index + 1}"
        field = f"student_models.{index if several else 0}"
        if override.student_model is not None:
            field, name = f"{overridden}.student_model", override.student_model
        check_model(field, name, catalog)
        previous = trained[-1 if override.teacher is None else override.teacher]
        if not config.allow_smaller_student:
            check_not_smaller(field, name, previous, catalog, num_classes)
        recipe_field = "student_recipe" if override.recipe is None else f"{overridden}.recipe"
        recipe = override.recipe or config.student_recipe
        check_noise(recipe_field, recipe, name, catalog)
        if config.generations:
            check_batches(recipe_field, recipe, workers, pseudo_labeled=True)
            check_training(recipe_field, recipe, config.resources.train)
            check_init(recipe_field, recipe, name, previous, catalog)
        if index + 1 < len(names):  # the last student teaches nobody
            check_views(config.labeling.views, recipe_field, recipe)
        if override.search is not None:
            teacher = None if config.allow_smaller_student else previous
            check_trials(f"{overridden}.search", override.search, config.resources.train)
            check_search(f"{overridden}.search", override.search, recipe, teacher, catalog, num_classes)
        trained.append(name)
    if config.search is not None:
        teacher = None if config.allow_smaller_student else first
        check_trials("search", config.search, config.resources.train)
        check_search("search", config.search, config.student_recipe, teacher, catalog, num_classes)


def _check_first_training(config: RunConfig, model: str, catalog: Mapping[str, CatalogModel]) -> None:
    recipe, group = config.teacher_recipe, config.resources.train
    check_noise("teacher_recipe", recipe, model, catalog)
    check_batches("teacher_recipe", recipe, group.max_workers, pseudo_labeled=False)
    check_training("teacher_recipe", recipe, group)
    check_init("teacher_recipe", recipe, model, None, catalog)
    check_views(config.labeling.views, "teacher_recipe", recipe)


def check_search(
    field: str,
    search: SearchSettings,
    recipe: Recipe,
    teacher: str | None,
    catalog: Mapping[str, CatalogModel],
    num_classes: int,
    *,
    pseudo_labeled: bool = True,
) -> None:
    """Checks a search.

    The catalogue must know the models of the search space, at least one must be as large as the `teacher` (None: any
    size), and the searched noise must act on all that are. Each worker of a trial must get enough images.
    `pseudo_labeled` is false for the search of a teacher. Raises InvalidRequest.
    """
    space = search.space
    _check_magnitudes(f"{field}.space.rand_augment_m", space, recipe)
    fewest = recipe
    if space.unlabeled_ratio is not None and space.unlabeled_ratio.low < recipe.unlabeled_ratio:
        fewest = recipe.model_copy(update={"unlabeled_ratio": float(space.unlabeled_ratio.low)})
    trial = fewest.model_copy(update={"resolution_step": None})
    check_batches(field, trial, search.workers_per_trial, pseudo_labeled=pseudo_labeled, of="workers_per_trial")
    for index, name in enumerate(space.models):
        check_model(f"{field}.space.models.{index}", name, catalog)
    if space.family is not None and not space_models(space, catalog):
        raise InvalidRequest(f"{field}.space.family", f"no timm model matches {space.family!r}")
    blamed = f"{field}.space.{'models' if space.family is None else 'family'}"
    models = searched_models(space, catalog, num_classes, teacher)
    if space_models(space, catalog) and not models:
        raise InvalidRequest(
            blamed,
            f"all of them are smaller than the teacher {teacher}: name larger ones, or set allow_smaller_student",
        )
    check_models_can_begin(blamed, recipe, models, catalog)
    drop_path = max(recipe.noise.drop_path, space.drop_path.high if space.drop_path else 0.0)
    dropout = max(recipe.noise.dropout, space.dropout.high if space.dropout else 0.0)
    for name in models:
        searched = recipe.noise.model_copy(update={"drop_path": drop_path, "dropout": dropout})
        check_noise(f"{field}.space", recipe.model_copy(update={"noise": searched}), name, catalog)


def _check_magnitudes(field: str, space: SearchSpace, recipe: Recipe) -> None:
    """Raises InvalidRequest for magnitudes beyond the end of the recipe's scale."""
    scale = searched_rand_augment(recipe).scale
    asked, highest = space.rand_augment_m, HIGHEST_MAGNITUDE[scale]
    if asked is not None and asked.high > highest:
        raise InvalidRequest(
            field,
            f"the recipe's RandAugment is on the scale {scale}, which ends at {highest}; this ends at {asked.high}",
        )


def check_external_sets(
    evaluation: EvaluationSettings, found: Mapping[str, DatasetFacts], classes: Sequence[str]
) -> None:
    """Checks that external sets are evaluation datasets whose mapped classes are among `classes`, the labeled ones.

    Raises InvalidRequest.
    """
    for index, external in enumerate(evaluation.external):
        field = f"evaluation.external.{index}"
        facts = found.get(external.dataset)
        if facts is None:
            raise InvalidRequest(f"{field}.dataset", f"there is no dataset {external.dataset!r}")
        if facts.role != "evaluation":
            raise InvalidRequest(f"{field}.dataset", f"{named(facts)} has the role {facts.role}, not evaluation")
        mapped = external.class_map or {name: name for name in facts.classes}
        unmapped = [name for name in facts.classes if name not in mapped]
        if unmapped:
            raise InvalidRequest(f"{field}.class_map", f"says nothing of the class(es) {_shortened(unmapped)}")
        unknown = [name for name in facts.classes if mapped[name] not in classes]
        if unknown:
            raise InvalidRequest(
                f"{field}.class_map",
                f"the class(es) {_shortened(unknown)} of {named(facts)} are not among the labeled classes",
            )
        if len({mapped[name] for name in facts.classes}) < len(facts.classes):
            raise InvalidRequest(f"{field}.class_map", "gives two classes the same name")


def check_model(field: str, name: str, catalog: Mapping[str, CatalogModel]) -> None:
    """Raises InvalidRequest for a model that is not in the catalogue."""
    if name not in catalog:
        close = get_close_matches(name, catalog, n=NAMES_SHOWN)
        hint = f"; did you mean {' or '.join(close)}?" if close else ""
        if name.startswith(HUB_PREFIX) or name.partition(".")[0] in catalog:
            hint = ": name the architecture here, and the weights in the recipe's init, of the kind pretrained"
        raise InvalidRequest(field, f"timm has no model {name!r}{hint}")


def check_not_smaller(
    field: str, name: str, previous: str, catalog: Mapping[str, CatalogModel], num_classes: int
) -> None:
    """Raises InvalidRequest for a student with fewer parameters than its teacher (Xie et al., section 2)."""
    student = parameters_with_head(catalog[name], num_classes)
    teacher = parameters_with_head(catalog[previous], num_classes)
    if student < teacher:
        raise InvalidRequest(
            field,
            f"the student {name} ({student:,} parameters) is smaller than its teacher {previous} ({teacher:,}): "
            "choose a larger one, or set allow_smaller_student",
        )


def _check_same_classes(field: str, labeled: DatasetFacts, other: DatasetFacts) -> None:
    if other.classes != labeled.classes:
        raise InvalidRequest(
            field,
            f"the classes of {named(other)} are not those of {named(labeled)}, the labeled dataset: it "
            f"{class_difference(labeled.classes, other.classes)}; register it again with the `classes` that GET "
            f"/datasets/{labeled.id} gives",
        )


def class_difference(classes: Sequence[str], others: Sequence[str]) -> str:
    """Says how `others` differ from `classes`, as the end of a sentence about whatever has them."""
    missing = [name for name in classes if name not in others]
    extra = [name for name in others if name not in classes]
    parts = [f"lacks {_shortened(missing)}"] if missing else []
    parts += [f"has also {_shortened(extra)}"] if extra else []
    return " and ".join(parts) or "has them in another order"


def _shortened(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:NAMES_SHOWN])
    return shown if len(names) <= NAMES_SHOWN else f"{shown} and {len(names) - NAMES_SHOWN} more"


def named(facts: DatasetFacts) -> str:
    """Returns the dataset's name and id, for messages."""
    return f"{facts.name!r} ({facts.id})"
