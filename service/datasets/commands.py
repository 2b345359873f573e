"""The commands on datasets: look at a place, and register a dataset."""

import time
from collections.abc import Callable
from contextlib import suppress

from sqlalchemy.orm import Session

from service.access.own_project import in_own_project
from service.artifacts.bulkhead import artifact_store
from service.artifacts.layout import ArtifactLayout
from service.config.datasets import DatasetRequest, LookRequest
from service.config.events import EventKind
from service.dataset_roots import RootsByProject
from service.datasets.plain_request import plain_request
from service.datasets.queries import dataset_view
from service.datasets.registered_before import candidates, first_alike
from service.datasets.registration.inspector_pool import InspectorPool
from service.datasets.registration.messages import DatasetSummary, InspectionJob, LookJob
from service.errors import ArtifactStoreUnavailable, InvalidRequest
from service.store.database import Database
from service.store.dataset_store import CLASS_COUNTS, CLASSES, WARNINGS
from service.store.idempotency import OnceAnswers, request_hash
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
        dataset_id = new_id("ds")
        held, unhashed = self._held(request)
        job = InspectionJob(
            request=request,
            dataset_id=dataset_id,
            artifact_root=self._layout.root,
            roots=self._roots.of(request.project),
            held=held,
        )
        try:
            found = self._inspectors.inspect(job)
            before = self._registered_before(request, found) if request.reuse else None
        except BaseException:
            self._delete_folder(dataset_id)
            raise
        if before is not None:
            self._delete_folder(dataset_id)
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


def insert_dataset(session: Session, request: DatasetRequest, found: DatasetSummary, now: float) -> DatasetRow:
    """Adds the row of a dataset whose manifest and hashes are already written."""
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
    )
    session.add(row)
    session.flush()
    return row
