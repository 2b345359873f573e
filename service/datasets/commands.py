"""The commands on datasets: look at a place, register a dataset, and add a version to one."""

import time
from collections.abc import Callable
from contextlib import suppress

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service.access.own_project import in_own_project
from service.artifacts.bulkhead import artifact_store
from service.artifacts.layout import ArtifactLayout
from service.config.datasets import DatasetRequest, DatasetVersionRequest, LookRequest
from service.config.events import EventKind
from service.dataset_roots import RootsByProject
from service.datasets.inspection import VersionBefore
from service.datasets.plain_request import plain_request
from service.datasets.queries import dataset_view
from service.datasets.registered_before import candidates, first_alike
from service.datasets.registration.inspector_pool import InspectorPool
from service.datasets.registration.messages import DatasetSummary, InspectionJob, LookJob
from service.errors import ArtifactStoreUnavailable, Conflict, InvalidRequest
from service.store.database import Database
from service.store.dataset_store import CLASS_COUNTS, CLASSES, DATASET_FORMAT, DATASET_ROLE, DIGEST_OF, WARNINGS
from service.store.idempotency import OnceAnswers, request_hash
from service.store.paging import get_row
from service.store.run_store import add_event, new_id
from service.store.schema.tables import DatasetRow
from service.views.datasets import DatasetView
from service.views.looks import DatasetLook
from workers.artifact_io import delete_folder


class DatasetCommands:
    """Registers datasets. Thread-safe. `inspectors` read the files; `clock` returns Unix seconds."""

    def __init__(
        self,
        database: Database,
        layout: ArtifactLayout,
        roots: RootsByProject,
        inspectors: InspectorPool,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._layout = layout
        self._roots = roots
        self._inspectors = inspectors
        self._database = database
        self._answers = OnceAnswers(database, clock)

    def look(self, request: LookRequest) -> DatasetLook:
        """Looks at a place, and records nothing. A separate process reads the files.

        Returns the requests that would register what is there. Raises InvalidRequest if nothing is there.
        """
        request = plain_request(in_own_project(request))
        return self._inspectors.look(LookJob(request=request, roots=self._roots.of(request.project)))

    def register(self, request: DatasetRequest, idempotency_key: str | None = None) -> DatasetView:
        """Inspects a dataset, writes its manifest and hashes, and records it. Returns its view.

        A request with `reuse` may get the view of a dataset that was registered before; then nothing is recorded.
        A separate process inspects the images and writes the files. Raises InvalidRequest, Conflict or
        ArtifactStoreUnavailable; nothing is recorded then.
        """
        request = plain_request(in_own_project(request))
        asked = request_hash("register_dataset", request)
        if (answer := self._answers.first(idempotency_key, asked, DatasetView)) is not None:
            return answer
        held, unhashed = self._held(request)
        found = self._inspected(request, held=held)
        try:
            before = self._registered_before(request, found) if request.reuse else None
        except BaseException:
            self._delete_folder(found.dataset_id)
            raise
        if before is not None:
            self._delete_folder(found.dataset_id)
        found = found.model_copy(update={"warnings": (*found.warnings, *unhashed)})

        def register(session: Session, now: float) -> DatasetView:
            if before is not None:
                return dataset_view(session.get_one(DatasetRow, before))
            view = dataset_view(insert_dataset(session, request, found, now))
            add_event(session, None, now, EventKind.DATASET_REGISTERED, f"{view.id} {view.name}")
            return view

        return self._answers.once(idempotency_key, asked, DatasetView, register)

    def _held(self, request: DatasetRequest) -> tuple[tuple[str, ...], list[str]]:
        """Returns the ids of the datasets to leave out that have content hashes, and a warning for each other one."""
        with self._database.read_once() as session:
            rows = [session.get(DatasetRow, each) for each in request.without]
        for place, (name, row) in enumerate(zip(request.without, rows, strict=True)):
            if row is None:
                raise InvalidRequest(f"without.{place}", f"there is no dataset {name!r}")
        there = [row for row in rows if row is not None]
        unhashed = [
            f"{row.name} ({row.id}) is too large to be hashed at registration: its images have not been left out"
            for row in there
            if not row.hashed
        ]
        return tuple(row.id for row in there if row.hashed), unhashed

    def _registered_before(self, request: DatasetRequest, found: DatasetSummary) -> str | None:
        with self._database.read_once() as session:
            others = candidates(session, request, found)
        return first_alike(self._layout, found.dataset_id, others)

    def _delete_folder(self, dataset_id: str) -> None:
        with suppress(ArtifactStoreUnavailable), artifact_store():
            delete_folder(self._layout.dataset_folder(dataset_id))

    def add_version(
        self, dataset_id: str, request: DatasetVersionRequest, idempotency_key: str | None = None
    ) -> DatasetView:
        """Inspects the files that are new, and records a dataset of the former's shards followed by theirs.

        The dataset itself stays as it is. Raises NotFound, InvalidRequest, ArtifactStoreUnavailable, and Conflict if
        the dataset has a newer version already; nothing is recorded then.
        """
        asked = request_hash(f"add_version {dataset_id}", request)
        if (answer := self._answers.first(idempotency_key, asked, DatasetView)) is not None:
            return answer
        with self._database.read_once() as session:
            former = get_row(session, DatasetRow, dataset_id, "dataset", dataset_id)
            _check_newest(session, dataset_id)
            new_files = plain_request(_request_of(former, request.uri or former.uri))
            before = _version_before(former)
        found = self._inspected(new_files, before)

        def add(session: Session, now: float) -> DatasetView:
            former = get_row(session, DatasetRow, dataset_id, "dataset", dataset_id)
            _check_newest(session, dataset_id)
            view = dataset_view(insert_dataset(session, new_files, found, now, former))
            message = f"{view.id} {view.name}: version {view.version}, after {dataset_id}"
            add_event(session, None, now, EventKind.DATASET_REGISTERED, message)
            return view

        try:
            return self._answers.once(idempotency_key, asked, DatasetView, add)
        except (Conflict, IntegrityError) as error:
            self._delete_folder(found.dataset_id)
            if isinstance(error, Conflict):
                raise
            raise Conflict(f"{dataset_id} has got a newer version meanwhile: add to that") from error

    def _inspected(
        self, request: DatasetRequest, before: VersionBefore | None = None, held: tuple[str, ...] = ()
    ) -> DatasetSummary:
        """Returns what a process of its own has found and written. Deletes what it wrote if the dataset is refused."""
        dataset_id = new_id("ds")
        job = InspectionJob(
            request=request,
            before=before,
            dataset_id=dataset_id,
            artifact_root=self._layout.root,
            roots=self._roots.of(request.project),
            held=held,
        )
        try:
            return self._inspectors.inspect(job)
        except BaseException:
            self._delete_folder(dataset_id)
            raise


def _check_newest(session: Session, dataset_id: str) -> None:
    newer = session.scalars(select(DatasetRow.id).where(DatasetRow.previous == dataset_id)).first()
    if newer is not None:
        raise Conflict(f"{dataset_id} has a newer version, {newer}: add to that")


def _request_of(former: DatasetRow, uri: str) -> DatasetRequest:
    """Returns the registration of what a version adds. The inspection fills in the columns of the one before."""
    return DatasetRequest(
        name=former.name,
        project=former.project,
        role=DATASET_ROLE.validate_python(former.role),
        uri=uri,
        format=DATASET_FORMAT.validate_python(former.format),
        classes=CLASSES.validate_json(former.classes) or None,
    )


def _version_before(former: DatasetRow) -> VersionBefore:
    counts = former.class_counts
    return VersionBefore(
        dataset_id=former.id,
        class_counts=None if counts is None else CLASS_COUNTS.validate_json(counts),
        sampled=former.sampled,
        sampled_bad=former.sampled_bad,
        picture_side=former.picture_side,
        hashed=former.hashed,
        digest=former.digest,
        digest_of=None if former.digest_of is None else DIGEST_OF.validate_python(former.digest_of),
    )


def insert_dataset(
    session: Session, request: DatasetRequest, found: DatasetSummary, now: float, former: DatasetRow | None = None
) -> DatasetRow:
    """Adds the row of a dataset whose manifest and hashes are already written, as the version after `former` if any."""
    counts = found.class_counts
    row = DatasetRow(
        id=found.dataset_id,
        name=request.name,
        role=found.role,
        format=found.format,
        uri=request.uri,
        classes=CLASSES.dump_json(found.classes).decode(),
        rows=found.rows,
        shards=found.shards,
        class_counts=None if counts is None else CLASS_COUNTS.dump_json(counts).decode(),
        sampled=found.sampled,
        sampled_bad=found.sampled_bad,
        hashed=found.hashed,
        digest=found.digest,
        digest_of=found.digest_of,
        warnings=WARNINGS.dump_json(found.warnings).decode(),
        part=None if request.part is None else request.part.model_dump_json(),
        picture_side=found.picture_side,
        created_at=now,
        project=request.project,
        version=1 if former is None else former.version + 1,
        previous=None if former is None else former.id,
        first=None if former is None else former.first or former.id,
    )
    session.add(row)
    session.flush()
    return row
