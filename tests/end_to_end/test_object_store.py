"""A run with artifacts and pool in a bucket: checkpoints, labels, selection and models use the S3 protocol."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from noisy_student.client import Client
from noisy_student.local.demo.run import register_digits
from noisy_student.local.stack import LocalStack
from tests.end_to_end.conftest import has_ended, result_of, small_config, stages_of, wait_until
from workers.artifact_io import join_uri, open_filesystem, write_bytes

pytestmark = pytest.mark.long


class BucketStack(LocalStack):
    """A stack with its artifact root in a bucket; its processes get credentials from the environment."""

    def __init__(self, home: Path, artifact_root: str) -> None:
        super().__init__(home)
        self._artifact_root = artifact_root

    def environment(self) -> dict[str, str]:
        return {
            **super().environment(),
            "NOISY_STUDENT_ARTIFACT_ROOT": self._artifact_root,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_EC2_METADATA_DISABLED": "true",
        }


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    options = f"?endpoint_override={host}:{port}&scheme=http&region=us-east-1"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        open_filesystem(f"s3://pictures/{options}&allow_bucket_creation=true")[0].create_dir("pictures")
        yield f"s3://pictures/{options}"
    server.stop()


def test_a_run_in_a_bucket_ends_with_a_model_there(bucket: str, tmp_path: Path) -> None:
    with BucketStack(tmp_path / "home", join_uri(bucket, "artifacts")) as stack, Client(stack.api_url) as client:
        ids = register_digits(client, tmp_path / "digits", seed=11)
        for shard in (tmp_path / "digits" / "unlabeled").glob("*.parquet"):
            write_bytes(join_uri(bucket, "pool", shard.name), shard.read_bytes())
        pool = client.datasets.create({"name": "pool", "role": "unlabeled", "uri": join_uri(bucket, "pool")})
        config = small_config({**ids, "unlabeled": pool.id}, 40, 20, train_workers=2)
        run = wait_until(client, client.runs.create(config).id, has_ended)
    assert run.state == "succeeded", run.state_reason
    assert run.generation_details[1].model is not None
    filesystem, path = open_filesystem(join_uri(run.generation_details[1].model.uri, "model.safetensors"))
    assert filesystem.get_file_info(path).size > 100_000
    labeled = next(result_of(stage) for stage in stages_of(run) if stage.name == "label")
    assert (labeled["images"], labeled["near_duplicates_unchecked"]) == (3400, [])
    assert not list((tmp_path / "home").rglob("*.safetensors"))
