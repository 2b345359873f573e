"""A separate process reads foreign bytes. Whatever happens to it, the caller gets a response."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from service.config.datasets import DatasetRequest
from service.config.inspector_limits import InspectorLimits
from service.datasets.registration.inspector_pool import InspectorPool
from service.datasets.registration.messages import InspectionJob
from service.errors import ArtifactStoreUnavailable, InvalidRequest
from tests.service.datasets.registration.hostile_files import write_encrypted_parquet, write_pictures
from workers.data.dataset_roots import ANYWHERE

MEMORY = 512 << 20


@pytest.fixture(scope="module")
def pool() -> Iterator[InspectorPool]:
    pool = InspectorPool(InspectorLimits(seconds=60, memory_bytes=MEMORY), kept=1)
    yield pool
    pool.close()


@pytest.fixture
def impatient() -> Iterator[InspectorPool]:
    pool = InspectorPool(InspectorLimits(seconds=0.5, memory_bytes=MEMORY), kept=1)
    yield pool
    pool.close()


def job(tmp_path: Path, uri: Path | str, **request: object) -> InspectionJob:
    asked = DatasetRequest.model_validate({"name": "x", "role": "unlabeled", "uri": str(uri), **request})
    return InspectionJob(request=asked, dataset_id="ds-1", artifact_root=str(tmp_path / "artifacts"), roots=ANYWHERE)


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE}


@pytest.fixture
def others(pool: InspectorPool) -> set[int]:
    """Children that the pool of these tests has not started. The pool has no waiting ones."""
    while (process := pool._taken()) is not None:
        process.close()
    return children()


def test_a_sound_dataset_has_its_files_written_by_a_process_that_waits_for_the_next(
    pool: InspectorPool, others: set[int], tmp_path: Path
) -> None:
    write_pictures(tmp_path / "pictures")

    found = pool.inspect(job(tmp_path, tmp_path / "pictures"))
    first = children() - others
    pool.inspect(job(tmp_path, tmp_path / "pictures"))

    assert (found.rows, found.shards, found.sampled, found.sampled_bad, found.hashed) == (4, 1, 4, 0, True)
    written = {file.name for file in (tmp_path / "artifacts/datasets/ds-1").iterdir()}
    assert written == {"manifest.json", "files.parquet", "hashes.bin", "hash_rows.bin"}
    assert len(first) == 1
    assert children() - others == first


def test_a_file_that_aborts_its_reader_is_refused_with_the_kind_of_failure(pool: InspectorPool, tmp_path: Path) -> None:
    write_encrypted_parquet(tmp_path / "encrypted.parquet")
    write_pictures(tmp_path / "pictures")

    with pytest.raises(InvalidRequest, match=r"encrypted\.parquet.*ended by SIGABRT") as caught:
        pool.inspect(job(tmp_path, tmp_path / "encrypted.parquet"))

    assert caught.value.field == "uri"
    assert pool.inspect(job(tmp_path, tmp_path / "pictures")).rows == 4


def test_an_inspection_that_takes_too_long_is_ended(impatient: InspectorPool, tmp_path: Path) -> None:
    before = children()
    # A list of this many lines takes seconds to split into parts.
    (tmp_path / "list.txt").write_text("".join(f"/nowhere/{number}.jpg\n" for number in range(2_000_000)))

    with pytest.raises(InvalidRequest, match=r"takes longer than 0\.5 s.*registration\.timeout_seconds"):
        impatient.inspect(job(tmp_path, tmp_path / "list.txt"))

    assert children() == before


def test_a_process_that_was_killed_while_it_waited_is_replaced(
    pool: InspectorPool, others: set[int], tmp_path: Path
) -> None:
    write_pictures(tmp_path / "pictures")
    pool.inspect(job(tmp_path, tmp_path / "pictures"))
    [waiting] = children() - others

    os.kill(waiting, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(waiting)], timeout=10)

    assert pool.inspect(job(tmp_path, tmp_path / "pictures")).rows == 4
    assert waiting not in children()


def test_a_process_that_is_killed_at_work_is_said_to_be(pool: InspectorPool, others: set[int], tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("".join(f"/nowhere/{number}.jpg\n" for number in range(2_000_000)))
    refused: list[str] = []

    def register() -> None:
        with pytest.raises(InvalidRequest) as caught:
            pool.inspect(job(tmp_path, tmp_path / "list.txt"))
        refused.append(caught.value.message)

    caller = threading.Thread(target=register)
    caller.start()
    deadline = time.monotonic() + 30
    while not (tmp_path / "artifacts").exists():  # it has written a part, so it is at work
        assert time.monotonic() < deadline
        caller.join(0.02)
    for child in children() - others:
        os.kill(child, signal.SIGKILL)
    caller.join(30)

    assert "ended by SIGKILL" in refused[0]
    assert children() == others


def test_a_store_that_takes_nothing_is_the_stores_fault(pool: InspectorPool, tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures")
    (tmp_path / "artifacts").write_text("a file where a folder should be")

    with pytest.raises(ArtifactStoreUnavailable):
        pool.inspect(job(tmp_path, tmp_path / "pictures"))


def test_inspectors_end_with_the_service_however_that_ends() -> None:
    script = """
import os, sys
from service.datasets.registration.inspector_pool import InspectorPool
from service.config.inspector_limits import InspectorLimits
import psutil
pool = InspectorPool(InspectorLimits(60, 512 << 20), 1)
pool.start()
print(*(child.pid for child in psutil.Process().children()), flush=True)
sys.stdin.read()
"""
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as service:
        assert service.stdout is not None
        [inspector] = map(psutil.Process, map(int, service.stdout.readline().split()))
        service.kill()
    gone, alive = psutil.wait_procs([inspector], timeout=20)

    assert gone
    assert not alive


def test_an_inspector_knows_neither_the_database_nor_rays_token(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NOISY_STUDENT_DATABASE_URL", "postgresql://me:secret@db/x")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    before = children()
    pool = InspectorPool(InspectorLimits(60, MEMORY), 1)
    pool.start()
    [inspector] = children() - before

    environment = psutil.Process(inspector).environ()
    pool.close()

    assert not [name for name in environment if name.startswith("NOISY_STUDENT_")]
    assert environment["AWS_ENDPOINT_URL"] == "http://127.0.0.1:9"


@pytest.mark.attack
def test_what_reads_foreign_bytes_is_told_no_secret_of_the_service(
    others: set[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NOISY_STUDENT_RAY__AUTH_TOKEN", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "PGPASSWORD"):
        monkeypatch.setenv(name, "secret-of-the-service")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of-the-store")
    pool = InspectorPool(InspectorLimits(seconds=60, memory_bytes=MEMORY), kept=1)
    pool.start()
    [waiting] = children() - others
    environment = psutil.Process(waiting).environ()
    pool.close()
    assert "secret-of-the-service" not in environment.values()
    assert environment["AWS_ACCESS_KEY_ID"] == "of-the-store"
