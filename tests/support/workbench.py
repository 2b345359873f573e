"""A whole control plane for tests, on a fake Ray."""

from collections.abc import Callable
from dataclasses import dataclass

from service.artifacts.layout import ArtifactLayout
from service.config.run import RunConfig
from service.config.stage_key import StageKey
from service.datasets.commands import DatasetCommands, insert_dataset
from service.datasets.inspection import DatasetRequest
from service.datasets.queries import DatasetQueries
from service.datasets.registration.inspector_pool import InspectorPool
from service.datasets.registration.messages import DatasetSummary
from service.estimates.commands import EstimateCommands
from service.estimates.queries import EstimateQueries
from service.model_catalog import CatalogModel
from service.ray_client.jobs import RayJobs
from service.reconcile.job_statuses import LOST_AFTER_SECONDS
from service.reconcile.loop import Reconciler
from service.runs.commands import RunCommands
from service.runs.queries import RunQueries
from service.settings import Settings
from service.store.database import Database
from service.studies.commands import StudyCommands
from service.studies.queries import StudyQueries
from service.wiring import Reconciling, Services, World, open_reconciling, open_services
from tests.support.fake_clock import FakeClock
from tests.support.fake_ray import FakeRay
from workers.artifact_io import write_bytes
from workers.data.hashes import write_hashes
from workers.specs.datasets import DatasetManifest, DatasetRole, Shard
from workers.specs.stages import StageName

MakeConfig = Callable[..., RunConfig]
"""The type of the fixture `run_config`."""
CATALOG = {
    "small": CatalogModel(parameters=100, parameters_per_class=11, drop_path=True, dropout=True, img_size=False),
    "large": CatalogModel(parameters=900, parameters_per_class=11, drop_path=True, dropout=True, img_size=False),
    "plain": CatalogModel(parameters=500, parameters_per_class=11, drop_path=False, dropout=False, img_size=False),
}
ALL_STAGES = ["g0-train", "g0-evaluate", "g1-label", "g1-select", "g1-train", "g1-evaluate"]
"""The stages of the run that `run_config` makes, unless told otherwise."""


@dataclass
class Workbench:
    """A whole control plane on a fake Ray, with the datasets of a small run."""

    database: Database
    settings: Settings
    ray: FakeRay
    ray_jobs: RayJobs
    clock: FakeClock
    inspectors: InspectorPool

    def __post_init__(self) -> None:
        self.world = World(
            clock=self.clock,
            monotonic=self.clock,
            lease_clock=lambda _session: self.clock(),
            catalog=CATALOG,
            queue_look_seconds=0,
        )
        self.services = self.services_with(self.settings)

    def services_with(self, settings: Settings) -> Services:
        """The services that an API process with other settings would have."""
        return open_services(
            settings,
            database=self.database,
            ray_jobs=self.ray_jobs,
            inspectors=self.inspectors,
            world=self.world,
        )

    def reconciling(self, settings: Settings | None = None, ray_jobs: RayJobs | None = None) -> Reconciling:
        """The parts that one more reconciler process would have, with other settings or another Ray if given."""
        return open_reconciling(
            settings or self.settings, database=self.database, ray_jobs=ray_jobs or self.ray_jobs, world=self.world
        )

    def restart(self, settings: Settings) -> None:
        """Continues with other settings, as after a restart."""
        self.settings = settings
        self.services = self.services_with(settings)
        self._reconciler = None

    @property
    def commands(self) -> RunCommands:
        return self.services.commands

    @property
    def queries(self) -> RunQueries:
        return self.services.queries

    @property
    def dataset_commands(self) -> DatasetCommands:
        return self.services.dataset_commands

    @property
    def dataset_queries(self) -> DatasetQueries:
        return self.services.dataset_queries

    @property
    def estimate_commands(self) -> EstimateCommands:
        return self.services.estimate_commands

    @property
    def estimate_queries(self) -> EstimateQueries:
        return self.services.estimate_queries

    @property
    def study_commands(self) -> StudyCommands:
        return self.services.study_commands

    @property
    def study_queries(self) -> StudyQueries:
        return self.services.study_queries

    def add_dataset(
        self,
        dataset_id: str,
        role: DatasetRole,
        hashes: list[bytes] | None = None,
        classes: tuple[str, ...] = ("cat", "dog"),
        rows: int = 10,
    ) -> None:
        """Records a dataset whose images need not exist."""
        layout = ArtifactLayout(self.settings.artifact_root)
        classes = () if role == "unlabeled" else classes
        manifest = DatasetManifest(
            dataset_id=dataset_id,
            role=role,
            format="parquet",
            classes=classes,
            rows=rows,
            shards=(Shard(uri="/data/a.parquet", rows=rows),),
        )
        content_hashes = hashes if hashes is not None else [dataset_id.encode().ljust(16, b"-")]
        write_hashes(layout.hashes(dataset_id), content_hashes)
        write_bytes(layout.manifest(dataset_id), manifest.model_dump_json().encode())
        found = DatasetSummary(
            dataset_id=dataset_id,
            role=role,
            format="parquet",
            classes=classes,
            rows=rows,
            shards=1,
            class_counts=dict.fromkeys(classes, rows // 2) if classes else None,
            hashed=True,
            sampled=1,
            sampled_bad=0,
            digest=f"digest of {dataset_id}",
            digest_of="images",
        )
        request = DatasetRequest(name=f"the {dataset_id}", role=role, uri="/data")
        with self.database.write() as session:
            insert_dataset(session, request, found, self.clock())

    _reconciler: Reconciler | None = None

    def reconciler(self) -> Reconciler:
        """The workbench's reconciler, the same at each call."""
        self._reconciler = self._reconciler or self.new_reconciler()
        return self._reconciler

    def new_reconciler(self) -> Reconciler:
        """A second reconciler, as in a new process. It takes over when the lease has ended."""
        return self.reconciling().reconciler

    def play(self, reconciler: Reconciler, until: Callable[[str], bool]) -> None:
        """Lets stages succeed one after another, up to the first job for which `until` returns true."""
        while True:
            reconciler.tick()
            alive = [job_id for job_id, job in self.ray.jobs.items() if job["status"] == "RUNNING"]
            if not alive:
                return
            [job_id] = alive
            if until(job_id):
                return
            self.ray.write_result(job_id)
            self.ray.end(job_id)

    def lose_jobs(self, reconciler: Reconciler) -> None:
        """Lets the head die and forget its jobs for as long as the service takes to believe it."""
        self.ray.jobs.clear()
        reconciler.tick()
        self.clock.advance(LOST_AFTER_SECONDS)
        reconciler.tick()

    def play_to_the_end(self, reconciler: Reconciler) -> None:
        self.play(reconciler, until=lambda _: False)


def submitted(bench: Workbench, run_id: str) -> list[str]:
    """The ids of all submissions that Ray has seen, in order, without the prefix of the run's id."""
    return [body["submission_id"].removeprefix(f"{run_id}-") for body in bench.ray.submits]


def attempts(
    bench: Workbench, run_id: str, generation: int = 0, stage: StageName = "train"
) -> list[tuple[str, str | None]]:
    views = bench.queries.get_stage(StageKey(run_id, generation, stage)).attempts
    return [(view.state, view.failure_reason) for view in views]
