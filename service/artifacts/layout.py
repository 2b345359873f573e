"""Where every artifact lies below the artifact root: the only module that builds paths."""

from service.config.stage_key import StageKey
from workers.artifact_io import join_uri
from workers.specs.stages import (
    FAILURE_FILE,
    PROGRESS_FILE,
    RESULT_FILE,
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
        self.root = root

    def dataset_folder(self, dataset_id: str) -> str:
        return join_uri(self.root, "datasets", dataset_id)

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

    def stage_folder(self, key: StageKey) -> str:
        return join_uri(self.root, "runs", key.run_id, f"gen-{key.generation}", key.stage)

    def spec(self, key: StageKey, attempt: int) -> str:
        """Written once, before the attempt's job is submitted."""
        return join_uri(self.stage_folder(key), spec_name(attempt))

    def progress(self, key: StageKey) -> str:
        return join_uri(self.stage_folder(key), PROGRESS_FILE)

    def result(self, key: StageKey) -> str:
        return join_uri(self.stage_folder(key), RESULT_FILE)

    def failure(self, key: StageKey) -> str:
        return join_uri(self.stage_folder(key), FAILURE_FILE)

    def stage_file(self, key: StageKey, name: str) -> str:
        return join_uri(self.stage_folder(key), name)

    def metrics(self, key: StageKey, attempt: int) -> str:
        return join_uri(self.stage_folder(key), metrics_name(attempt))

    def control(self, key: StageKey, attempt: int) -> str:
        return join_uri(self.stage_folder(key), control_name(attempt))

    def job_log(self, key: StageKey, attempt: int) -> str:
        """The end of what the attempt's driver printed, saved before its Ray job is deleted."""
        return join_uri(self.stage_folder(key), "logs", f"a{attempt}.log")

    def inventory(self, key: StageKey, artifact: str) -> str:
        """What retention has taken away of a stage's folder: names, sizes and digests."""
        return join_uri(self.stage_folder(key), f"collected-{artifact}.json")
