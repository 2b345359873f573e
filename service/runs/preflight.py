"""All checks of a run before it is started or planned."""

from collections.abc import Iterable, Mapping

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.artifacts.layout import ArtifactLayout
from service.config.run import RunConfig
from service.errors import InvalidRequest
from service.model_catalog import CatalogModel
from service.runs.checks import (
    DatasetFacts,
    check_datasets,
    check_external_sets,
    check_images_kept_apart,
    check_models,
    dataset_ids,
)
from service.store.database import Database
from service.store.dataset_store import CLASSES
from service.store.run_store import load_config
from service.store.schema.tables import DatasetRow, ModelRow


def check_new_run(
    database: Database, layout: ArtifactLayout, config: RunConfig, catalog: Mapping[str, CatalogModel]
) -> dict[str, DatasetFacts]:
    """Checks the whole run and returns its datasets by id. Raises InvalidRequest if the run cannot work."""
    with database.read_once() as session:  # the rows that it reads never change
        external = [each.dataset for each in config.evaluation.external]
        found = _dataset_facts(session, [*dataset_ids(config.datasets).values(), *external])
        check_reference(session, config)
    check_datasets(config.datasets, found)
    check_external_sets(config.evaluation, found, found[config.datasets.labeled].classes)
    check_models(config, catalog, len(found[config.datasets.labeled].classes))
    check_images_kept_apart(config.datasets, found, layout)
    return found


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
