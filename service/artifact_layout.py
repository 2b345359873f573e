"""Where every artifact lies below the artifact root: the only module that builds paths."""

from workers.artifact_io import join_uri
from workers.specs.stages import FAILURE_FILE, PROGRESS_FILE, RESULT_FILE, SPEC_FILE, StageName, metrics_name

MANIFEST_FILE = "manifest.json"
HASHES_FILE = "hashes.bin"


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

    def stage_folder(self, run_id: str, generation: int, stage: StageName) -> str:
        return join_uri(self._root, "runs", run_id, f"gen-{generation}", stage)

    def spec(self, run_id: str, generation: int, stage: StageName) -> str:
        return join_uri(self.stage_folder(run_id, generation, stage), SPEC_FILE)

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

    def inventory(self, run_id: str, generation: int, stage: StageName, artifact: str) -> str:
        """What retention has taken away of a stage's folder: names, sizes and digests."""
        return join_uri(self.stage_folder(run_id, generation, stage), f"collected-{artifact}.json")
