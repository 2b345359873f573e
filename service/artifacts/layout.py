"""Where every artifact lies below the artifact root: the only module that builds paths."""

from workers.artifact_io import join_uri
from workers.specs.stages import (
    FAILURE_FILE,
    PROGRESS_FILE,
    RESULT_FILE,
    StageName,
    control_name,
    metrics_name,
    spec_name,
)

MANIFEST_FILE = "manifest.json"
HASHES_FILE = "hashes.bin"
HASH_ROWS_FILE = "hash_rows.bin"
LIST_PARTS_FOLDER = "list"
PERCEPTUAL_HASHES_FILE = "perceptual_hashes.parquet"


class ArtifactLayout:
    """URIs below `root`, a local path or any pyarrow.fs URI."""

    def __init__(self, root: str) -> None:
        self._root = root

    def dataset_folder(self, dataset_id: str) -> str:
        return join_uri(self._root, "datasets", dataset_id)

    def manifest(self, dataset_id: str) -> str:
        return join_uri(self.dataset_folder(dataset_id), MANIFEST_FILE)

    def hashes(self, dataset_id: str) -> str:
        """Content hashes of the dataset's images, sorted."""
        return join_uri(self.dataset_folder(dataset_id), HASHES_FILE)

    def hash_rows(self, dataset_id: str) -> str:
        """The first row of each content hash, in their order."""
        return join_uri(self.dataset_folder(dataset_id), HASH_ROWS_FILE)

    def list_parts(self, dataset_id: str) -> str:
        """A folder: the shards of a dataset that is a list of URIs."""
        return join_uri(self.dataset_folder(dataset_id), LIST_PARTS_FOLDER)

    def perceptual_hashes(self, dataset_id: str) -> str:
        """Of an evaluation dataset's images; the first label stage that needs them writes it."""
        return join_uri(self.dataset_folder(dataset_id), PERCEPTUAL_HASHES_FILE)

    def stage_folder(self, run_id: str, generation: int, stage: StageName) -> str:
        return join_uri(self._root, "runs", run_id, f"gen-{generation}", stage)

    def spec(self, run_id: str, generation: int, stage: StageName, attempt: int) -> str:
        """Written once, before the attempt's job is submitted."""
        return join_uri(self.stage_folder(run_id, generation, stage), spec_name(attempt))

    def progress(self, run_id: str, generation: int, stage: StageName) -> str:
        return join_uri(self.stage_folder(run_id, generation, stage), PROGRESS_FILE)

    def result(self, run_id: str, generation: int, stage: StageName) -> str:
        return join_uri(self.stage_folder(run_id, generation, stage), RESULT_FILE)

    def failure(self, run_id: str, generation: int, stage: StageName) -> str:
        return join_uri(self.stage_folder(run_id, generation, stage), FAILURE_FILE)

    def stage_file(self, run_id: str, generation: int, stage: StageName, name: str) -> str:
        return join_uri(self.stage_folder(run_id, generation, stage), name)

    def metrics(self, run_id: str, generation: int, stage: StageName, attempt: int) -> str:
        return join_uri(self.stage_folder(run_id, generation, stage), metrics_name(attempt))

    def control(self, run_id: str, generation: int, stage: StageName, attempt: int) -> str:
        return join_uri(self.stage_folder(run_id, generation, stage), control_name(attempt))

    def job_log(self, run_id: str, generation: int, stage: StageName, attempt: int) -> str:
        """The end of what the attempt's driver printed, saved before its Ray job is deleted."""
        return join_uri(self.stage_folder(run_id, generation, stage), "logs", f"a{attempt}.log")

    def inventory(self, run_id: str, generation: int, stage: StageName, artifact: str) -> str:
        """What retention has taken away of a stage's folder: names, sizes and digests."""
        return join_uri(self.stage_folder(run_id, generation, stage), f"collected-{artifact}.json")
