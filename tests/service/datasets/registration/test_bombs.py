"""Small files that unpack to gigabytes are rejected or registered within an inspector's memory limit."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from service.config.datasets import DatasetRequest
from service.config.inspector_limits import InspectorLimits
from service.datasets.registration.inspector_pool import InspectorPool
from service.datasets.registration.messages import InspectionJob
from service.errors import InvalidRequest
from tests.service.datasets.registration.hostile_files import png, write_many_labels, write_repeated_value
from workers.data.dataset_roots import ANYWHERE

MIB = 1 << 20
MEMORY = 768 * MIB


@pytest.fixture(scope="module")
def pool() -> Iterator[InspectorPool]:
    pool = InspectorPool(InspectorLimits(seconds=100, memory_bytes=MEMORY), kept=1)
    yield pool
    pool.close()


class Outcome:
    """The outcome of a registration, and the peak memory of any inspector process meanwhile.

    Between fork and exec a new inspector is still a copy of this process, with all that other tests left in memory.
    """

    def __init__(self, pool: InspectorPool, tmp_path: Path, **request: object) -> None:
        asked = DatasetRequest.model_validate({"name": "x", "role": "unlabeled", **request})
        job = InspectionJob(request=asked, dataset_id="ds-1", artifact_root=str(tmp_path / "artifacts"), roots=ANYWHERE)
        self.peak, self.refusal = 0, ""
        self._over = threading.Event()
        watcher = threading.Thread(target=self._watch)
        watcher.start()
        try:
            pool.inspect(job)
        except InvalidRequest as error:
            self.refusal = error.message
        finally:
            self._over.set()
            watcher.join(10)

    def _watch(self) -> None:
        is_over = False
        while not is_over:
            is_over = self._over.wait(0.02)
            for child in psutil.Process().children():
                try:
                    if "service.datasets.registration.inspector" in child.cmdline():
                        self.peak = max(self.peak, child.memory_info().rss)
                except psutil.Error:
                    continue


def test_a_picture_of_a_hundred_megapixels_in_few_bytes(pool: InspectorPool, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "bomb.png").write_bytes(png(10_000, 10_000, color_type=6))
    for number in range(3):
        (tmp_path / "pictures" / f"{number}.png").write_bytes(png(4, 4, grey=number))

    outcome = Outcome(pool, tmp_path, uri=str(tmp_path / "pictures"))

    assert outcome.peak < MEMORY + 256 * MIB
    assert "memory" in outcome.refusal or outcome.refusal == ""


def test_a_value_that_every_row_repeats(pool: InspectorPool, tmp_path: Path) -> None:
    write_repeated_value(tmp_path / "bomb.parquet", 8 * MIB, 200)
    assert (tmp_path / "bomb.parquet").stat().st_size < 10_000

    outcome = Outcome(pool, tmp_path, uri=str(tmp_path / "bomb.parquet"))

    assert "sampled images cannot be decoded" in outcome.refusal
    assert outcome.peak < MEMORY + 256 * MIB


def test_values_that_no_memory_holds_are_said_to_be(pool: InspectorPool, tmp_path: Path) -> None:
    write_repeated_value(tmp_path / "bomb.parquet", 400 * MIB, 20)

    outcome = Outcome(pool, tmp_path, uri=str(tmp_path / "bomb.parquet"))

    assert "takes more than 768 MiB of memory" in outcome.refusal
    assert outcome.peak < MEMORY + 256 * MIB


def test_millions_of_labels(pool: InspectorPool, tmp_path: Path) -> None:
    write_many_labels(tmp_path / "labels.parquet", 4_000_000)

    outcome = Outcome(pool, tmp_path, uri=str(tmp_path / "labels.parquet"), role="labeled")

    assert "sampled images cannot be decoded" in outcome.refusal or "memory" in outcome.refusal
    assert outcome.peak < MEMORY + 256 * MIB


def test_files_without_end_on_a_disk_that_has_none_of_it(pool: InspectorPool, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    for number in range(40):
        with (tmp_path / "pictures" / f"{number}.jpg").open("wb") as stream:
            stream.truncate(3 << 30 if number % 2 else 256 * MIB)
    (tmp_path / "list.txt").write_text("".join(f"pictures/{number}.jpg\n" for number in range(40)))

    for uri in ("pictures", "list.txt"):
        outcome = Outcome(pool, tmp_path, uri=str(tmp_path / uri))
        assert outcome.refusal, uri
        assert outcome.peak < MEMORY + 256 * MIB


def test_a_line_of_a_gigabyte_and_json_without_an_end(pool: InspectorPool, tmp_path: Path) -> None:
    with (tmp_path / "line.txt").open("wb") as stream:
        stream.truncate(1 << 30)
    (tmp_path / "deep.jsonl").write_text('{"uri": ' + "[" * 100_000 + "]" * 100_000 + "}\n")
    (tmp_path / "number.jsonl").write_text('{"uri": ' + "9" * 100_000 + "}\n")
    (tmp_path / "nul.jsonl").write_text(json.dumps({"uri": "a\x00b.png"}) + "\n")

    for name, reason in (("line.txt", "line 1: is longer"), ("deep.jsonl", "line 1"), ("number.jsonl", "line 1")):
        outcome = Outcome(pool, tmp_path, uri=str(tmp_path / name))
        assert reason in outcome.refusal
        assert 0 < outcome.peak < 400 * MIB
    assert "nul.jsonl" in Outcome(pool, tmp_path, uri=str(tmp_path / "nul.jsonl")).refusal
