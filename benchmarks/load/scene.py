"""The system under load: API and reconciler as processes, a stand-in for Ray, 1,000 active and 100,000 finished runs.

Requests need keys, the number of stages is limited, and the project of the runs has a quota.

The runs are copies of two runs that the control plane has taken through all of their stages, which end at once.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import func, select

from benchmarks.load.played_stages import write_progress, write_result
from benchmarks.support.copied_runs import copy_id, put_copies_in_place_of
from benchmarks.support.standin_ray import StandInRay
from benchmarks.support.started_parts import StartedParts
from noisy_student.client import Client
from noisy_student.errors import API_KEY_VARIABLE
from noisy_student.local.demo.run import demo_run_config, register_digits
from noisy_student.local.ray_head import free_ports
from service.access.key_commands import KeyCommands
from service.config.access import KeyRequest, Scope
from service.lifecycle.states import AttemptState
from service.store.database import Database
from service.store.migrate import upgrade
from service.store.schema.tables import AttemptRow
from workers.artifact_io import read_bytes
from workers.specs.stages import STAGE_SPEC, AnyStageSpec

GENERATIONS = 3
WITH_ARTIFACTS = 50
"""How many copies of each kind have progress and result files. The others have none, as after retention."""
_RAY_TOKEN = "what the stand-in asks for"
_TIMEOUT_SECONDS = 300.0


class LoadScene(StartedParts):
    """Runs the system as a context manager. `active` and `finished`: the copied runs' ids; `key`: an admin's."""

    def __init__(self, home: Path, database_url: str, active: int, finished: int) -> None:
        super().__init__()
        self._home = home
        self._url = database_url
        self._counts = {"active": active, "finished": finished}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._plays: Callable[[AnyStageSpec], bool] = lambda _: True
        [self._port] = free_ports(1)
        self.api_url = f"http://127.0.0.1:{self._port}"

    def pids(self) -> dict[str, int]:
        """The process ids of `api` and `reconciler`."""
        return {name: process.pid for name, process in self._processes.items()}

    def run_config(self) -> dict[str, Any]:
        """A valid body for POST /runs."""
        return {
            **demo_run_config(),
            "datasets": self.datasets,
            "generations": GENERATIONS,
            # The stages of active runs make no progress during the whole benchmark.
            "fault_tolerance": {"stall_timeout_seconds": {"train": 1e6}},
        }

    def _start(self) -> None:
        self._home.mkdir(parents=True, exist_ok=True)
        upgrade(self._url)
        database = Database(self._url)
        self._open.callback(database.close)
        request = KeyRequest(name="benchmark", scope=Scope.ADMIN, project=None)
        self.key = KeyCommands(database).create_key(request, "benchmark").key
        self._ray = self._open.enter_context(StandInRay(self._play, _RAY_TOKEN))
        self._open.callback(self._stop_processes)
        self._spawn("api", "api")
        self._wait(self._api_answers)
        os.environ[API_KEY_VARIABLE] = self.key
        with Client(self.api_url) as client:
            self.datasets = {
                part: dataset
                for part, dataset in register_digits(client, self._home / "digits", seed=1).items()
                if part in ("labeled", "unlabeled", "validation", "test")
            }
            client.projects.set_quota("default", {"device_hours": 1e6})
            self._spawn("reconciler", "service.reconcile")
            templates = {kind: self._lead(client, database, kind) for kind in ("finished", "active")}
        self._stop_reconciler()
        print("copying", self._counts, flush=True)
        put_copies_in_place_of(database, {run: self._counts[kind] for kind, run in templates.items()})
        self.active, self.finished = (
            [copy_id(templates[kind], number) for number in range(1, self._counts[kind] + 1)]
            for kind in ("active", "finished")
        )
        self._copy_artifacts(templates)
        with database.read() as session:
            submitted = AttemptRow.state == AttemptState.SUBMITTED
            self._ray.add_running(session.scalars(select(AttemptRow.submission_id).where(submitted)))
        self._spawn("reconciler", "service.reconcile")

    def _lead(self, client: Client, database: Database, kind: str) -> str:
        """Creates a run, takes it to its end or to its last train stage, and returns its id."""
        held = kind == "active"
        self._plays = lambda spec: not (held and spec.generation == GENERATIONS and spec.stage == "train")
        run_id = client.runs.create({**self.run_config(), "name": kind}).id
        last = "train" if held else "evaluate"

        def is_there() -> bool:
            stages = client.runs.get(run_id).generation_details[-1].stages
            return any(stage.name == last and stage.state == ("running" if held else "succeeded") for stage in stages)

        self._wait(is_there)
        open_jobs = select(func.count()).where(AttemptRow.run_id == run_id, AttemptRow.job_closed_at.is_(None))

        def are_closed() -> bool:
            with database.read() as session:
                return session.execute(open_jobs).scalar_one() == (1 if held else 0)

        self._wait(are_closed)
        self._plays = lambda _: False
        return run_id

    def _play(self, spec_uri: str) -> str:
        spec = STAGE_SPEC.validate_json(read_bytes(spec_uri))
        if self._plays(spec):
            write_result(spec)
            return "SUCCEEDED"
        write_progress(spec, done=50)
        return "RUNNING"

    def _copy_artifacts(self, templates: dict[str, str]) -> None:
        runs = self._home / "artifacts" / "runs"
        for kind, template in templates.items():
            for number in range(1, min(WITH_ARTIFACTS, self._counts[kind]) + 1):
                shutil.copytree(runs / template, runs / copy_id(template, number))

    def _spawn(self, name: str, module: str) -> None:
        environment = {
            "NOISY_STUDENT_HOME": str(self._home),
            "NOISY_STUDENT_DATABASE_URL": self._url,
            "NOISY_STUDENT_RAY__JOBS_URL": self._ray.url,
            "NOISY_STUDENT_SERVER__PORT": str(self._port),
            "NOISY_STUDENT_ACCESS__AUTHENTICATION": "true",
            "NOISY_STUDENT_DATASETS__ROOTS": f'["{self._home / "digits"}"]',
            # Requests read a webhook; nothing is delivered to it.
            "NOISY_STUDENT_WEBHOOKS__PRIVATE_NETWORKS": '["127.0.0.0/8"]',
            # Nearly used up, so that every request that reads runs also reads the queue.
            "NOISY_STUDENT_RECONCILER__MAX_CONCURRENT_STAGES": str(self._counts["active"] + 5),
            "NOISY_STUDENT_RAY__AUTH_TOKEN": _RAY_TOKEN,
        }
        with (self._home / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [sys.executable, "-m", module], env={**os.environ, **environment}, stdout=log, stderr=log
            )

    def _api_answers(self) -> bool:
        try:
            return httpx.get(f"{self.api_url}/healthz", trust_env=False).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def _wait(self, is_so: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _TIMEOUT_SECONDS
        while not is_so():
            if time.monotonic() > deadline:
                raise TimeoutError(f"the control plane is not where it should be; its logs are in {self._home}")
            time.sleep(0.2)

    def _stop_reconciler(self) -> None:
        reconciler = self._processes.pop("reconciler")
        reconciler.terminate()
        reconciler.wait(timeout=60)

    def _stop_processes(self) -> None:
        for process in self._processes.values():
            process.terminate()
            process.wait(timeout=60)
