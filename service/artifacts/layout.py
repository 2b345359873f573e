"""The paths of all artifacts below the artifact root. No other module builds such paths."""

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
REGISTERED_FILES_FILE = "files.parquet"
LIST_PARTS_FOLDER = "list"
FINGERPRINTS_FILE = "fingerprints.parquet"


class ArtifactLayout:
    """Builds URIs below `root`, a local path or any pyarrow.fs URI."""

    def __init__(self, root: str) -> None:
        self.root = root

    @property
    def availability_probe(self) -> str:
        """Never written: a store that says that it is not there answers."""
        return join_uri(self.root, "availability-probe")

    def dataset_folder(self, dataset_id: str) -> str:
        return join_uri(self.root, "datasets", dataset_id)

    def manifest(self, dataset_id: str) -> str:
        return join_uri(self.dataset_folder(dataset_id), MANIFEST_FILE)

    def hashes(self, dataset_id: str) -> str:
        """The file of the sorted content hashes of the dataset's images."""
        return join_uri(self.dataset_folder(dataset_id), HASHES_FILE)

    def hash_rows(self, dataset_id: str) -> str:
        """The file of the first row of each content hash, in the order of the hashes."""
        return join_uri(self.dataset_folder(dataset_id), HASH_ROWS_FILE)

    def registered_files(self, dataset_id: str) -> str:
        """The list of the files that registration read, with their sizes and times, for versions that follow."""
        return join_uri(self.dataset_folder(dataset_id), REGISTERED_FILES_FILE)

    def list_parts(self, dataset_id: str) -> str:
        """The folder with the shards of a dataset that is a list of URIs."""
        return join_uri(self.dataset_folder(dataset_id), LIST_PARTS_FOLDER)

    def fingerprints(self, dataset_id: str) -> str:
        """The file of an evaluation dataset's perceptual hashes. The first label stage that needs it writes it."""
        return join_uri(self.dataset_folder(dataset_id), FINGERPRINTS_FILE)

    def stage_folder(self, key: StageKey) -> str:
        return join_uri(self.root, "runs", key.run_id, f"gen-{key.generation}", key.stage)

    def spec(self, key: StageKey, attempt: int) -> str:
        """The attempt's spec, written once before its job is submitted."""
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
        """The end of the log of the attempt's driver, saved before its Ray job is deleted."""
        return join_uri(self.stage_folder(key), "logs", f"a{attempt}.log")

    def inventory(self, key: StageKey, artifact: str) -> str:
        """The list of the files that retention deletes from a stage's folder: names, sizes and digests."""
        return join_uri(self.stage_folder(key), f"collected-{artifact}.json")
