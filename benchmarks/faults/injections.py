"""The faults. Each does damage, and undoes what does not recover by itself. `dice` chooses victims and durations."""

import errno
import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil

from benchmarks.faults.ray_proxy import Mood
from benchmarks.faults.scene import LEASE_SECONDS, Scene, mount
from noisy_student.errors import ApiError
from noisy_student.local.process_family import command_of, descendants, is_alive, processes_of

_MIB = 1 << 20
_REMOUNT_TRIES = 200
HUNG_AFTER_SECONDS = 45.0
"""The stall timeout of the runs."""
_SLACK_SECONDS = 60.0
_NODE_AGENTS = {"ray::DashboardAgent", "ray::RuntimeEnvAgent"}
"""Ray's own processes on each node. If one hangs while a job waits to start, no deadline of a stage runs yet."""


class FaultNotSeen(Exception):
    """The service did not report what it must report during a fault."""


def kill_api(scene: Scene, dice: random.Random) -> str:
    """Kills the API with SIGKILL. The supervisor restarts it."""
    _kill(scene.stack.pid_of("api"))
    scene.wait_for_api()
    return "killed the API"


def kill_reconciler(scene: Scene, dice: random.Random) -> str:
    """Kills the reconciler that holds the lease with SIGKILL. The other takes over."""
    leader = scene.leader()
    if leader is None:
        return "no reconciler to kill"
    _kill(leader)
    return f"killed the reconciler, process {leader}"


def pause_reconciler(scene: Scene, dice: random.Random) -> str:
    """Stops the reconciler that holds the lease for longer than the lease. The other takes over; then both run."""
    leader = scene.leader()
    if leader is None:
        return "no reconciler to pause"
    with _stopped(leader):
        deadline = time.monotonic() + 4 * LEASE_SECONDS
        while scene.leader() == leader:
            if time.monotonic() > deadline:
                raise FaultNotSeen("nobody took over from a reconciler that was paused")
            time.sleep(0.1)
        time.sleep(dice.uniform(0, 2))
    return f"paused the reconciler, process {leader}"


def kill_driver(scene: Scene, dice: random.Random) -> str:
    """Kills a stage's driver with SIGKILL."""
    return _kill_one_of(drivers(scene.artifacts), dice, "driver")


def kill_worker(scene: Scene, dice: random.Random) -> str:
    """Kills one of the actors with SIGKILL: a training worker, a labeler, the trainer, or the job's supervisor."""
    return _kill_one_of(_actors(scene), dice, "worker")


def hang_stage(scene: Scene, dice: random.Random) -> str:
    """Stops the driver or a worker with SIGSTOP for a few seconds. It does not respond; then it continues."""
    victims = [*drivers(scene.artifacts), *_actors(scene)]
    if not victims:
        return "nothing to stop"
    victim = dice.choice(victims)
    name = victim.name()
    with _stopped(victim.pid):
        time.sleep(dice.uniform(2, 8))
    return f"stopped {name} for a while"


def hang_for_good(scene: Scene, dice: random.Random) -> str:
    """Stops the driver or a worker with SIGSTOP until the service has ended its attempt. Then it wakes up, too late."""
    victims = [*drivers(scene.artifacts), *_actors(scene)]
    if not victims:
        return "nothing to hang"
    victim = dice.choice(victims)
    name, before = victim.name(), _attempts_ended(scene)
    with _stopped(victim.pid):
        deadline = time.monotonic() + HUNG_AFTER_SECONDS + _SLACK_SECONDS
        while victim.is_running() and _attempts_ended(scene) == before:
            if time.monotonic() > deadline and name in _NODE_AGENTS:
                break
            if time.monotonic() > deadline:
                seconds = HUNG_AFTER_SECONDS + _SLACK_SECONDS
                raise FaultNotSeen(f"{name} was stopped, and its attempt goes on {seconds:.0f} s later")
            time.sleep(0.5)
    return f"hung {name}"


def pause_and_resume(scene: Scene, dice: random.Random) -> str:
    """Pauses and resumes the run, as a user would. The stage stops after its unit and continues from there."""
    if not _ask(scene.client.runs.pause, scene.run_id):
        return "too late to pause"
    _wait_for_state(scene, "paused")
    time.sleep(dice.uniform(0, 2))
    return "paused and resumed" if _ask(scene.client.runs.resume, scene.run_id) else "paused, and ended"


def cancel_and_retry(scene: Scene, dice: random.Random) -> str:
    """Cancels and retries the run, as a user would. It leaves no work on the cluster, and continues after the retry."""
    if not _ask(scene.client.runs.cancel, scene.run_id):
        return "too late to cancel"
    _wait_for_state(scene, "cancelled")
    deadline = time.monotonic() + _SLACK_SECONDS
    while any(is_alive(process) for process in drivers(scene.artifacts)):
        if time.monotonic() > deadline:
            raise FaultNotSeen(f"the run is cancelled, and its driver is alive {_SLACK_SECONDS:.0f} s later")
        time.sleep(0.5)
    return "cancelled and retried" if _ask(scene.client.runs.retry, scene.run_id) else "cancelled, and could not retry"


def kill_ray_head(scene: Scene, dice: random.Random) -> str:
    """Kills the head's command, its GCS or its raylet with SIGKILL. The supervisor starts another head."""
    head = scene.stack.pid_of("ray")
    family = [*processes_of([head]), *descendants(head)]
    names = {process: command_of(process).partition(" ")[0].rpartition("/")[2] for process in family}
    victim = dice.choice([each for each in family if each.pid == head or names[each] in ("gcs_server", "raylet")])
    _kill(victim.pid)
    return f"killed the Ray head's {names[victim]}"


def kill_database(scene: Scene, dice: random.Random) -> str:
    """Kills all of PostgreSQL with SIGKILL for a few seconds. Meanwhile the API reports it."""
    scene.postgres.kill()
    try:
        time.sleep(dice.uniform(0.5, 4))
        answer = httpx.get(f"{scene.stack.api_url}/runs", headers=scene.stack.api_headers, timeout=30, trust_env=False)
        if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE or "Retry-After" not in answer.headers:
            raise FaultNotSeen(f"without its database the API answered {answer.status_code}: {answer.text}")
    finally:
        scene.postgres.start()
    return "killed the database"


def fill_disk(scene: Scene, dice: random.Random) -> str:
    """Fills the artifacts' file system for a few seconds."""
    filler = scene.artifacts / "filler"
    try:
        with filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"\0" * _MIB)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
        time.sleep(dice.uniform(2, 8))
    finally:
        filler.unlink(missing_ok=True)
    return "filled the disk"


def make_read_only(scene: Scene, dice: random.Random) -> str:
    """Makes the artifacts' file system read-only for a few seconds."""
    for _ in range(_REMOUNT_TRIES):
        if mount("-o", "remount,ro", str(scene.artifacts)):  # refused while a file is open for writing
            break
        time.sleep(0.01)
    else:
        return "the artifacts could not be made read-only"
    try:
        time.sleep(dice.uniform(2, 8))
    finally:
        mount("-o", "remount,rw", str(scene.artifacts))
    return "made the artifacts read-only"


def ray_answers_500(scene: Scene, dice: random.Random) -> str:
    """Makes Ray respond 500 for a while, like a proxy in front of a broken Ray."""
    return _in_mood(scene, Mood.ERROR, dice.uniform(4, 8))


def ray_hangs(scene: Scene, dice: random.Random) -> str:
    """Makes Ray accept every request and respond to none for a while."""
    return _in_mood(scene, Mood.HANG, dice.uniform(4, 10))


def ray_forgets(scene: Scene, dice: random.Random) -> str:
    """Makes Ray claim that it knows no job, while the job continues."""
    return _in_mood(scene, Mood.FORGET, dice.uniform(0.5, 4))


Fault = Callable[[Scene, random.Random], str]
FAULTS: Mapping[str, Fault] = {
    fault.__name__: fault
    for fault in (
        kill_api,
        kill_reconciler,
        pause_reconciler,
        kill_driver,
        kill_worker,
        hang_stage,
        hang_for_good,
        pause_and_resume,
        cancel_and_retry,
        kill_ray_head,
        kill_database,
        fill_disk,
        make_read_only,
        ray_answers_500,
        ray_hangs,
        ray_forgets,
    )
}
NEED_A_MOUNT = frozenset({"fill_disk", "make_read_only"})


def drivers(artifacts: Path) -> list[psutil.Process]:
    """The driver processes of the stages whose artifacts are below this folder."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if "workers.entrypoint" in command and command[-1].startswith(str(artifacts)):
            found.append(process)
    return found


def _actors(scene: Scene) -> list[psutil.Process]:
    """Ray's processes that work for a job. Idle ones have a name that says so."""
    titles = {process: command_of(process) for process in descendants(scene.stack.pid_of("ray"))}
    return [
        process for process, title in titles.items() if title.startswith("ray::") and not title.startswith("ray::IDLE")
    ]


def _attempts_ended(scene: Scene) -> int:
    stages = [stage for generation in scene.get_run(scene.run_id).generation_details for stage in generation.stages]
    return sum(attempt.finished_at is not None for stage in stages for attempt in stage.attempts)


def _ask(command: Callable[[str], object], run_id: str) -> bool:
    """Sends a command for the run. Whether the API accepted it: a run that has just ended accepts none."""
    try:
        command(run_id)
    except ApiError:
        return False
    return True


def _wait_for_state(scene: Scene, state: str) -> None:
    """Waits until the run is in the state, or has ended."""
    deadline = time.monotonic() + _SLACK_SECONDS
    while (now := scene.get_run(scene.run_id).state) not in (state, "succeeded", "failed"):
        if time.monotonic() > deadline:
            raise FaultNotSeen(f"the run is {now} and not {state} after {_SLACK_SECONDS:.0f} s")
        time.sleep(0.5)


def _kill_one_of(victims: list[psutil.Process], dice: random.Random, what: str) -> str:
    if not victims:
        return f"no {what} to kill"
    victim = dice.choice(sorted(victims, key=lambda process: process.pid))
    title = command_of(victim)[:60]
    if not title:
        return f"the {what} had ended"
    _kill(victim.pid)
    return f"killed a {what}: {title}"


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


@contextmanager
def _stopped(pid: int) -> Iterator[None]:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def _in_mood(scene: Scene, mood: Mood, seconds: float) -> str:
    scene.proxy.mood = mood
    time.sleep(seconds)
    scene.proxy.mood = Mood.PASS
    return f"Ray's API in the mood to {mood} for {seconds:.1f} s"
