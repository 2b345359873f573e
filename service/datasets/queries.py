"""The queries for datasets, and their views."""

from sqlalchemy import or_

from service.config.datasets import DatasetPart
from service.lifecycle.list_filter import EVERYTHING, ListFilter
from service.store.database import Database
from service.store.dataset_store import CLASS_COUNTS, CLASSES, DATASET_FORMAT, DATASET_ROLE, DIGEST_OF, WARNINGS
from service.store.paging import get_row, read_page
from service.store.schema.tables import DatasetRow
from service.views.base import Page, as_time
from service.views.datasets import DatasetView


class DatasetQueries:
    """Reads registered datasets. Thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, dataset_id: str) -> DatasetView:
        """Returns the dataset. Raises NotFound."""
        with self._database.read_once() as session:
            return dataset_view(get_row(session, DatasetRow, dataset_id, "dataset", dataset_id))

    def list(self, limit: int = 50, cursor: str | None = None, wanted: ListFilter = EVERYTHING) -> Page[DatasetView]:
        """Returns a page of datasets, newest first. Raises InvalidRequest for a bad page."""
        with self._database.read_once() as session:
            keys = (DatasetRow.created_at, DatasetRow.id)
            rows, following = read_page(session, DatasetRow, keys, limit, cursor, wanted=wanted)
            return Page(items=[dataset_view(row) for row in rows], next_cursor=following)

    def versions(self, dataset_id: str, limit: int = 50, cursor: str | None = None) -> Page[DatasetView]:
        """Returns a page of the dataset's versions, newest first: those before and after it, and itself.

        Raises NotFound, and InvalidRequest for a bad page.
        """
        with self._database.read_once() as session:
            row = get_row(session, DatasetRow, dataset_id, "dataset", dataset_id)
            first = row.first or row.id
            keys = (DatasetRow.version, DatasetRow.id)
            of_it = or_(DatasetRow.id == first, DatasetRow.first == first)
            rows, following = read_page(session, DatasetRow, keys, limit, cursor, of_it)
            return Page(items=[dataset_view(row) for row in rows], next_cursor=following)


def dataset_view(row: DatasetRow) -> DatasetView:
    return DatasetView(
        id=row.id,
        name=row.name,
        project=row.project,
        role=DATASET_ROLE.validate_python(row.role),
        format=DATASET_FORMAT.validate_python(row.format),
        uri=row.uri,
        classes=list(CLASSES.validate_json(row.classes)),
        rows=row.rows,
        shards=row.shards,
        class_counts=None if row.class_counts is None else CLASS_COUNTS.validate_json(row.class_counts),
        sampled=row.sampled,
        sampled_bad=row.sampled_bad,
        picture_side=row.picture_side,
        created_at=as_time(row.created_at),
        version=row.version,
        previous=row.previous,
        digest=row.digest,
        digest_of=None if row.digest_of is None else DIGEST_OF.validate_python(row.digest_of),
        warnings=[] if row.warnings is None else list(WARNINGS.validate_json(row.warnings)),
        part=None if row.part is None else DatasetPart.model_validate_json(row.part),
    )
