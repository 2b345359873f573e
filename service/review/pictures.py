"""The query for the picture of a pseudo label. An inspector process reads the foreign bytes, never this one."""

import base64

from service.artifacts.layout import ArtifactLayout
from service.dataset_roots import RootsByProject
from service.datasets.registration.inspector_pool import InspectorPool
from service.datasets.registration.messages import PictureJob
from service.errors import InvalidRequest, NotFound
from service.review.generations import load_reviewed
from service.review.marks import labeled_row
from service.store.database import Database
from service.store.dataset_store import load_projects


class PictureQueries:
    """Shows images of pools. Thread-safe."""

    def __init__(
        self, database: Database, layout: ArtifactLayout, roots: RootsByProject, inspectors: InspectorPool
    ) -> None:
        self._database = database
        self._layout = layout
        self._roots = roots
        self._inspectors = inspectors

    def picture(self, run_id: str, generation: int, shard: int, row: int) -> bytes:
        """Returns a small JPEG of the image in a row of the pool.

        Raises NotFound, also for a broken image and one that cannot be read any more; Conflict,
        ArtifactStoreUnavailable.
        """
        with self._database.read() as session:
            reviewed = load_reviewed(session, self._layout, run_id, generation)
            projects = load_projects(session, [reviewed.dataset_id])
        labeled_row(reviewed, shard, row)
        job = PictureJob(
            manifest_uri=self._layout.manifest(reviewed.dataset_id),
            shard=shard,
            row=row,
            roots=self._roots.of(next(iter(projects))),
        )
        name = f"{run_id}-g{generation}/{shard}/{row}"
        try:
            answer = self._inspectors.picture(job)
        except InvalidRequest as error:
            raise NotFound("readable picture", f"{name}: {error.message}") from error
        if answer.image is None:
            raise NotFound("readable picture", f"{name}: {answer.broken}")
        return base64.b64decode(answer.image)
