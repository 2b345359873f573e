"""Times the reconciler's tick over 1,000 running stages and 100,000 finished runs, on SQLite and on PostgreSQL.

Ray is an HTTP server that responds like a head with these jobs and takes as long. The artifacts are files. The
benchmark measures the steady state, in which every job runs and there is nothing to do. The rival asks for each job by
its name.
"""

import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.orm import Session

from benchmarks.results import ResultRow, row, save
from benchmarks.support.copied_runs import copy_id, put_copies_in_place_of
from benchmarks.support.postgres_server import PostgresServer
from benchmarks.support.standin_ray import StandInRay
from service.config.run import GenerationPlan, RunConfig
from service.config.settings.groups import RaySettings
from service.lifecycle.states import AttemptState, GenerationState, RunState, StageState
from service.ray_client.jobs import RayJobs
from service.reconcile import job_statuses
from service.reconcile.loop import Reconciler
from service.settings import Settings
from service.store.database import Database
from service.store.migrate import upgrade
from service.store.run_store import insert_run
from service.store.schema.tables import AttemptRow, GenerationRow, RunRow, StageRow
from service.wiring import open_reconciling
from workers.specs.recipe import Recipe
from workers.specs.selection import SelectionSettings

ACTIVE, FINISHED = 1_000, 100_000
TICKS = 10
TICKS_OF_THE_RIVAL = 2
_GENERATIONS = 4
_COMMAND = "make benchmark-reconcile"


def main() -> None:
    """Measures with both databases, then writes the rows."""
    rows = []
    with tempfile.TemporaryDirectory() as folder, StandInRay() as ray:
        ray.add_running(f"{copy_id('active', number)}-g{_GENERATIONS - 1}-train-a1" for number in range(1, ACTIVE + 1))
        home = Path(folder)
        rows += _rows("sqlite", f"sqlite:///{home / 'benchmark.db'}", home, ray.url)
        with PostgresServer() as server:
            rows += _rows("postgresql", server.url(), home, ray.url)
    save(rows)


def _rows(name: str, url: str, home: Path, ray_url: str) -> list[ResultRow]:
    upgrade(url)
    database = Database(url)
    _fill(database, home / "artifacts")
    settings = Settings(
        home=home, database_url=url, ray=RaySettings(jobs_url=ray_url), artifact_root=str(home / "artifacts")
    )
    ray_jobs = RayJobs(ray_url)
    reconciler = open_reconciling(settings, database=database, ray_jobs=ray_jobs).reconciler
    ticks = _ticks(reconciler, TICKS)
    with _one_by_one():
        asked_singly = _ticks(reconciler, TICKS_OF_THE_RIVAL)
    ray_jobs.close()
    database.close()
    beside = f"{statistics.mean(asked_singly):.2f} s if each job is requested by name"
    suffix = "" if name == "postgresql" else f".{name}"
    unit = f"s, {name}, {ACTIVE:,} active and {FINISHED:,} finished runs"
    print(name, [round(tick, 3) for tick in ticks], beside, flush=True)
    return [row(f"reconcile.tick_1000{suffix}.seconds", ticks, unit, beside, _COMMAND)]


def _ticks(reconciler: Reconciler, count: int) -> list[float]:
    reconciler.tick()  # claims the lease and connects
    seconds = []
    for _ in range(count):
        time.sleep(Settings().reconciler.tick_seconds)
        began = time.perf_counter()
        reconciler.tick()
        seconds.append(time.perf_counter() - began)
    return seconds


@contextmanager
def _one_by_one() -> Iterator[None]:
    before, job_statuses.LIST_FROM = job_statuses.LIST_FROM, ACTIVE + 1
    yield
    job_statuses.LIST_FROM = before


def _fill(database: Database, artifacts: Path) -> None:
    """Copies two template runs, one in its last train stage and one that has ended."""
    with database.write() as session:
        _insert_template(session, "active", _GENERATIONS, until=(_GENERATIONS - 1, "train"))
        _insert_template(session, "finished", 2, until=None)
    put_copies_in_place_of(database, {"active": ACTIVE, "finished": FINISHED})
    for number in range(1, ACTIVE + 1):
        (artifacts / "runs" / copy_id("active", number) / f"gen-{_GENERATIONS - 1}" / "train").mkdir(
            parents=True, exist_ok=True
        )


def _insert_template(session: Session, run_id: str, generations: int, until: tuple[int, str] | None) -> None:
    """Inserts a run whose stages have all succeeded, up to the stage `until`, which has an attempt in progress."""
    parts = {part: f"ds-{part}" for part in ("labeled", "unlabeled", "validation", "test")}
    config = RunConfig.model_validate_json(
        json.dumps({"name": run_id, "datasets": parts, "teacher_model": "m", "student_models": ["m"]})
    )
    plan = GenerationPlan(model="m", recipe=Recipe(), selection=SelectionSettings(), seed=1)
    insert_run(session, run_id, config, [plan] * generations, now=1.0)
    over, now = True, time.time()
    for stage in session.query(StageRow).filter_by(run_id=run_id).order_by(StageRow.generation, StageRow.position):
        here = (stage.generation, stage.name) == until
        if over:
            stage.state = StageState.RUNNING if here else StageState.SUCCEEDED
            session.add(
                AttemptRow(
                    run_id=run_id,
                    generation=stage.generation,
                    stage=stage.name,
                    number=1,
                    submission_id=f"{run_id}-g{stage.generation}-{stage.name}-a1",
                    state=AttemptState.SUBMITTED if here else AttemptState.SUCCEEDED,
                    created_at=now,
                    submitted_at=now,  # its stage is not overdue yet
                )
            )
        over = over and not here
    for generation in session.query(GenerationRow).filter_by(run_id=run_id):
        last = until is not None and generation.number == until[0]
        generation.state = GenerationState.RUNNING if last else GenerationState.SUCCEEDED
    if until is None:
        session.query(RunRow).filter_by(id=run_id).update({"state": RunState.SUCCEEDED})


if __name__ == "__main__":
    main()
