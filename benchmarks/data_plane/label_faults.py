"""Labels a pool once undisturbed and once under kill -9 of actors, drivers and Ray heads, and compares the label files.

    python -m benchmarks.data_plane.label_faults --seed 1 --kills 20

The stage is its real process, `python -m workers.entrypoint SPEC`, on a private Ray. When a driver or a head is gone,
the next attempt starts at once, as the control plane would start it. Its spec gives it the folder, and what is left of
the old attempt notices. Kills come at random moments while shards are being labeled; the seed decides which process is
killed after how many shards. It fails if a row differs, a finished shard was labeled again, or a temporary file is
left.
"""

import argparse
import json
import random
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import pyarrow.parquet as pq

from benchmarks.support.photographs import write_photograph_shards
from benchmarks.support.private_ray import PrivateRay
from benchmarks.support.stage_job import POLL_SECONDS, TIMEOUT_SECONDS, StageJob
from workers.specs.model_card import ModelCard
from workers.specs.results import LabelResult
from workers.specs.stages import ActorPool, LabelSpec

Victim = Literal["actor", "driver", "head"]
VICTIMS: tuple[Victim, ...] = ("actor", "driver", "head")
ACTORS = 2


@dataclass(frozen=True)
class Outcome:
    """The outcome of labeling under kills."""

    kills: dict[str, int]
    attempts: int
    shards: int
    shards_resumed: int
    """How many shards the last attempt took over from all earlier ones."""
    finished_at_last_start: int
    """How many label files existed when the last attempt started."""
    labeled_again: int
    """Label files that were written again although they existed."""
    temporary_files: int
    different_files: list[str]
    seconds: float

    @property
    def is_flawless(self) -> bool:
        return (
            self.different_files == []
            and self.temporary_files == 0
            and self.labeled_again == 0
            and self.shards_resumed >= self.finished_at_last_start
        )


def label_under_kills(
    folder: Path, data: Path, reference: Path, victims: Sequence[Victim], seed: int, ray: PrivateRay
) -> Outcome:
    """Labels `data` into `folder` while killing `victims` one by one, and compares the result with `reference`."""
    started_at = time.monotonic()
    chance = random.Random(seed)
    killed: Counter[str] = Counter()
    with closing(label_job(folder, data, ray)) as job:
        job.start_attempt()
        shards = len(list((data / "shards").glob("*.parquet")))
        for victim in victims:
            if not _wait_for_more(job, chance, shards):
                break
            print(f"{job.finished()} of {shards} shards: kill -9 of the {victim}", flush=True)
            _kill(victim, job, ray, chance)
            killed[victim] += 1
        result = job.wait()
        assert isinstance(result, LabelResult)
    return Outcome(
        kills=dict(killed),
        attempts=job.attempt,
        shards=shards,
        shards_resumed=result.shards_resumed,
        finished_at_last_start=job.finished_at_last_start,
        labeled_again=job.replaced,
        temporary_files=len(list(folder.rglob("*.tmp"))),
        different_files=different_files(folder, reference),
        seconds=round(time.monotonic() - started_at, 1),
    )


def label_undisturbed(folder: Path, data: Path, ray: PrivateRay) -> None:
    """Labels `data` into `folder` without kills, to make the label files to compare with."""
    with closing(label_job(folder, data, ray)) as job:
        job.start_attempt()
        job.wait()


def label_job(folder: Path, data: Path, ray: PrivateRay) -> StageJob:
    """The label stage that labels `data` into `folder`."""
    spec = LabelSpec(
        run_id="faults",
        generation=1,
        attempt=1,
        folder_uri=str(folder),
        seed=0,
        model_uri=str(data / "model"),
        manifest_uri=str(data / "shards" / "manifest.json"),
        batch_size=16,
        pool=ActorPool(min_actors=1, max_actors=ACTORS, cpus_per_actor=1.0),
    )
    return StageJob(spec, "part-*", ray)


def different_files(folder: Path, reference: Path) -> list[str]:
    """Names of label files that differ in a row, or that only one folder has."""
    names = {file.name for place in (folder, reference) for file in place.glob("part-*")}
    return sorted(
        name
        for name in names
        if not (folder / name).exists()
        or not (reference / name).exists()
        or not pq.read_table(folder / name).equals(pq.read_table(reference / name))
    )


def write_pool(data: Path, shards: int, rows: int) -> None:
    """Writes shards of photographs, and an untrained light model."""
    import torch

    from workers.models.create import create_model
    from workers.models.files import write_model

    write_photograph_shards(data / "shards", shards, rows)
    torch.manual_seed(0)
    card = ModelCard(
        model="test_resnet", classes=tuple(map(str, range(1000))), image_size=96, mean=(0.5,) * 3, std=(0.5,) * 3,
        crop="center", parameters=1, run_id="r", generation=0, validation_top1=0.0,
    )  # fmt: skip
    write_model(str(data / "model"), create_model("test_resnet", 1000, 96, 0.0, 0.0).state_dict(), card)


def _wait_for_more(job: StageJob, chance: random.Random, shards: int) -> bool:
    """Waits until a few more shards are finished, and a moment longer. False if too few shards are left for a kill."""
    target = job.finished() + chance.randint(1, 4)
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while job.finished() < min(target, shards - ACTORS):
        if job.has_ended():
            return False
        if time.monotonic() > deadline:
            raise TimeoutError(f"{job.finished()} of {shards} shards after {TIMEOUT_SECONDS} s")
        time.sleep(POLL_SECONDS)
    time.sleep(chance.uniform(0, 0.3))
    return job.finished() < shards - ACTORS


def _kill(victim: Victim, job: StageJob, ray: PrivateRay, chance: random.Random) -> None:
    if victim == "actor":
        actors = ray.head.actors()
        if actors:
            chance.choice(actors).kill()
        return
    if victim == "driver":
        job.kill_driver()
    else:
        ray.head.kill_raylet()
        ray.start_head()
    job.start_attempt()


def main() -> None:
    """Runs the command: labels with and without kills, and fails if the outcomes differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--folder", type=Path, default=Path("build/label-faults"))
    given = parser.parse_args()
    # On SIGTERM, exit normally, so that the Ray nodes end with this process.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    folder = given.folder.resolve()
    shutil.rmtree(folder, ignore_errors=True)
    write_pool(folder / "data", shards=12 + 4 * given.kills, rows=100)
    chance = random.Random(given.seed)
    victims = [chance.choice(VICTIMS) for _ in range(given.kills)]
    with PrivateRay(num_cpus=ACTORS + 1) as ray:
        label_undisturbed(folder / "undisturbed", folder / "data", ray)
        outcome = label_under_kills(
            folder / "killed", folder / "data", folder / "undisturbed", victims, given.seed, ray
        )
    print(json.dumps(asdict(outcome)))
    if not outcome.is_flawless:
        sys.exit(1)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
