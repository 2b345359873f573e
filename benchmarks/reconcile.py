"""The reconciler's tick over 1,000 running stages beside 100,000 finished runs, on SQLite and on PostgreSQL.

Ray is an HTTP server that answers as a head with these jobs does, and takes as long; the artifacts are files. What is
measured is the steady state: every job runs, and there is nothing to do. The rival asks for each job by its name.
"""

import json
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.orm import Session

from benchmarks.postgres_server import PostgresServer
from benchmarks.results import row, save
from service.ray_jobs import RayJobs
from service.reconcile import job_statuses
from service.reconcile.loop import Reconciler
from service.run_config import GenerationPlan, RunConfig
from service.settings import Settings
from service.states import AttemptState, GenerationState, RunState, StageState
from service.store.database import Database
from service.store.migrate import upgrade
from service.store.run_store import insert_run
from service.store.tables import AttemptRow, GenerationRow, RunRow, StageRow, Table
from workers.specs.recipe import Recipe, SelectionSettings

ACTIVE, FINISHED = 1_000, 100_000
TICKS = 10
TICKS_OF_THE_RIVAL = 2
LIST_SECONDS, QUESTION_SECONDS = 1.1, 0.009
"""What a head of Ray 2.60 took on two cores to list 1,000 jobs, and to answer for one."""
_GENERATIONS = 4
_COMMAND = "make benchmark-reconcile"
_RAYS_ACCOUNT = {
    "type": "SUBMISSION",
    "entrypoint": "python -m workers.entrypoint /data/artifacts/runs/run-000001/gen-3/train/specs/a1.json",
    "status": "RUNNING",
    "message": "Job is currently running.",
    "error_type": None,
    "start_time": 1_800_000_000_000,
    "end_time": None,
    "metadata": {"run_id": "run-000001", "generation": "3", "stage": "train", "attempt": "1"},
    "runtime_env": {},
    "driver_info": {"id": "01000000", "node_ip_address": "127.0.0.1", "pid": "12345"},
    "job_id": "01000000",
    "driver_agent_http_address": "http://127.0.0.1:52365",
    "driver_node_id": "f3a0d6f0ec7f1a0de10d2eb31ad0a0d6f0ec7f1a0de10d2eb31ad0a0",
    "driver_exit_code": None,
}


def main() -> None:
    """Both databases, then the rows."""
    rows = []
    with tempfile.TemporaryDirectory() as folder, _ray() as ray_url:
        home = Path(folder)
        rows += _rows("sqlite", f"sqlite:///{home / 'benchmark.db'}", home, ray_url)
        with PostgresServer() as server:
            rows += _rows("postgresql", server.url(), home, ray_url)
    save(rows)


def _rows(name: str, url: str, home: Path, ray_url: str) -> list[dict[str, object]]:
    upgrade(url)
    database = Database(url)
    _fill(database, home / "artifacts")
    settings = Settings(home=home, database_url=url, ray_jobs_url=ray_url, artifact_root=str(home / "artifacts"))
    ray_jobs = RayJobs(ray_url)
    reconciler = Reconciler(database, settings, ray_jobs, time.time)
    ticks = _ticks(reconciler, TICKS)
    with _one_by_one():
        asked_singly = _ticks(reconciler, TICKS_OF_THE_RIVAL)
    ray_jobs.close()
    database.close()
    beside = f"{statistics.mean(asked_singly):.2f} s where each job is asked for by name"
    suffix = "" if name == "postgresql" else f".{name}"
    unit = f"s, {name}, {ACTIVE:,} active and {FINISHED:,} finished runs"
    print(name, [round(tick, 3) for tick in ticks], beside, flush=True)
    return [row(f"reconcile.tick_1000{suffix}.seconds", ticks, unit, beside, _COMMAND)]


def _ticks(reconciler: Reconciler, count: int) -> list[float]:
    reconciler.tick()  # claims the lease, connects
    seconds = []
    for _ in range(count):
        time.sleep(Settings().tick_seconds)
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
    """Copies two template runs, one in its last train stage and one that is over."""
    with database.write() as session:
        _insert_template(session, "active", _GENERATIONS, until=(_GENERATIONS - 1, "train"))
        _insert_template(session, "finished", 2, until=None)
    for template, count in (("active", ACTIVE), ("finished", FINISHED)):
        with database.write() as session:
            if database.engine.dialect.name == "postgresql":
                # The copies refer to each other as the templates do: checking each row takes minutes.
                session.execute(text("set local session_replication_role = replica"))
            for table in (RunRow, GenerationRow, StageRow, AttemptRow):
                _copy(session, table, template, count)
            for table in (AttemptRow, StageRow, GenerationRow, RunRow):
                column = "id" if table is RunRow else "run_id"
                session.execute(text(f"delete from {table.__tablename__} where {column} = :run"), {"run": template})
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("analyze"))
    for number in range(1, ACTIVE + 1):
        (artifacts / "runs" / f"active-{number:06d}" / f"gen-{_GENERATIONS - 1}" / "train").mkdir(
            parents=True, exist_ok=True
        )


def _insert_template(session: Session, run_id: str, generations: int, until: tuple[int, str] | None) -> None:
    """A run whose stages have all succeeded, up to the one given, which has an attempt under way."""
    parts = {part: f"ds-{part}" for part in ("labeled", "unlabeled", "validation", "test")}
    config = RunConfig.model_validate_json(
        json.dumps({"name": run_id, "datasets": parts, "teacher_model": "m", "student_models": ["m"]})
    )
    plan = GenerationPlan(model="m", recipe=Recipe(), selection=SelectionSettings(), seed=1)
    insert_run(session, run_id, config, [plan] * generations, now=1.0)
    over = True
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
                    created_at=1.0,
                    submitted_at=1.0,
                )
            )
        over = over and not here
    for generation in session.query(GenerationRow).filter_by(run_id=run_id):
        last = until is not None and generation.number == until[0]
        generation.state = GenerationState.RUNNING if last else GenerationState.SUCCEEDED
    if until is None:
        session.query(RunRow).filter_by(id=run_id).update({"state": RunState.SUCCEEDED})


def _copy(session: Session, table: type[Table], template: str, count: int) -> None:
    """Many runs like the template, by one statement a table."""
    session.flush()
    names = [column.name for column in table.__table__.columns]
    padded = "substr('00000' || i, length('00000' || i) - 5)"
    renamed = {
        "id": f"id || '-' || {padded}",
        "run_id": f"run_id || '-' || {padded}",
        "submission_id": f"replace(submission_id, '{template}', '{template}-' || {padded})",
    }
    values = ", ".join(renamed.get(name, name) for name in names)
    key = "id" if table is RunRow else "run_id"
    session.execute(
        text(
            "with recursive numbers(i) as (select 1 union all select i + 1 from numbers where i < :count) "
            f"insert into {table.__tablename__} ({', '.join(names)}) "
            f"select {values} from {table.__tablename__}, numbers where {key} = :template"
        ),
        {"count": count, "template": template},
    )


@contextmanager
def _ray() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _RayHandler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


class _RayHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    jobs = tuple(
        {**_RAYS_ACCOUNT, "submission_id": f"active-{number:06d}-g{_GENERATIONS - 1}-train-a1"}
        for number in range(1, ACTIVE + 1)
    )
    listed = json.dumps(jobs).encode()
    one = json.dumps(jobs[0]).encode()

    def do_GET(self) -> None:
        is_list = self.path == "/api/jobs/"
        time.sleep(LIST_SECONDS if is_list else QUESTION_SECONDS)
        content = self.listed if is_list else self.one
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Quiet."""


if __name__ == "__main__":
    main()
