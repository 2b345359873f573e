"""Reports to Weights & Biases: a run for each stage and each trial, in a group with the others of the service's run.

Offline, the runs are folders beside the stage's files; `wandb sync` uploads them (https://docs.wandb.ai/guides/track).
"""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from workers.artifact_io import is_local, join_uri, local_copy, open_filesystem, read_bytes_if_there, write_bytes
from workers.specs.base import Frozen
from workers.specs.tracking import Tracking
from workers.tracking.endings import Ending, EndState
from workers.tracking.subjects import Subject
from workers.tracking.timeline import Point

if TYPE_CHECKING:
    import wandb

_FOLDER = "wandb"
"""The library's own name for its folder."""
_INIT_SECONDS = 30.0


class WandbRuns:
    """The runs of one project. Raises wandb.Error if there is no key, or no server within half a minute."""

    def __init__(self, tracking: Tracking, folder_uri: str) -> None:
        import wandb  # of the extra `tracking`, and only where the settings ask for it

        wandb.teardown()  # after an error its own process would hold the ids of the runs that were open
        self._tracking = tracking
        self._folder = _LocalFolder(folder_uri)

    def open(self, subject: Subject) -> "OnlineReport | OfflineReport":
        """The subject's run. Its id is the same for all attempts, so that each goes on with the run before."""
        if self._tracking.wandb_mode == "offline":
            return OfflineReport(self._tracking, self._folder, subject)
        return OnlineReport(self._tracking, self._folder, subject)


class _LocalFolder:
    """Where the library writes: the stage's folder; for one in a bucket a folder of this machine, which is copied."""

    def __init__(self, folder_uri: str) -> None:
        self._uri = folder_uri
        self._is_copied = not is_local(folder_uri)
        self._temporary = tempfile.TemporaryDirectory() if self._is_copied else None
        self.path = Path(self._temporary.name if self._temporary else open_filesystem(folder_uri)[1])
        self.path.mkdir(parents=True, exist_ok=True)

    def copy(self) -> None:
        """Copies what the library has written to the bucket, if it is one."""
        for file in (self.path / _FOLDER).rglob("*") if self._is_copied else ():
            if file.is_file() and not file.is_symlink():
                write_bytes(join_uri(self._uri, *file.relative_to(self.path).parts), file.read_bytes())

    def delete_unfinished(self, identity: str, finished: Sequence[str]) -> None:
        """Deletes the folders of offline runs with this id that no attempt has finished."""
        for folder in (self.path / _FOLDER).glob(f"offline-run-*-{identity}"):
            if folder.name not in finished:
                shutil.rmtree(folder)


class OnlineReport:
    """The run of a stage or a trial on a server, which knows how far the attempts before have come."""

    def __init__(self, tracking: Tracking, folder: _LocalFolder, subject: Subject) -> None:
        self._run = _begun(tracking, folder.path, subject)
        self._last_step = self._run.starting_step - 1
        self._subject = subject

    def write(self, points: Sequence[Point]) -> None:
        """Logs the points after the last one that was logged: what was trained twice is the same both times."""
        self._last_step = _log(self._run, points, self._last_step)

    def end(self, ending: Ending) -> None:
        """Adds the result's figures and small files, and ends the run."""
        _finish(self._run, ending, self._subject)


class _Finished(Frozen):
    """What the attempts so far have written: an offline run does not know of those before it."""

    step: int = -1
    """The last one that was logged."""
    state: EndState | None = None
    """How the last attempt ended."""
    folders: tuple[str, ...] = ()


class OfflineReport:
    """The run of a stage or a trial in folders, one for each attempt.

    The library writes a folder's file in blocks, so a driver that is killed leaves next to nothing of its last ones.
    Only a finished folder counts: the next attempt deletes another one, and logs what it had.
    """

    def __init__(self, tracking: Tracking, folder: _LocalFolder, subject: Subject) -> None:
        self._tracking = tracking
        self._folder = folder
        self._subject = subject
        self._finished_uri = join_uri(subject.spec.folder_uri, _FOLDER, f"{subject.identity}.json")
        data = read_bytes_if_there(self._finished_uri)
        self._before = _Finished() if data is None else _Finished.model_validate_json(data)
        self._last_step = self._before.step
        self._run: wandb.Run | None = None
        folder.delete_unfinished(subject.identity, self._before.folders)

    def write(self, points: Sequence[Point]) -> None:
        """Logs the points after the last one of the finished folders: what was trained twice is the same both times."""
        if points and points[-1].step > self._last_step:
            self._run = self._run or _begun(self._tracking, self._folder.path, self._subject)
            self._last_step = _log(self._run, points, self._last_step)

    def end(self, ending: Ending) -> None:
        """Adds the result's figures and small files, and ends the run, if there is anything new."""
        if self._run is None and self._before.state == ending.state == "finished":
            return
        run = self._run or _begun(self._tracking, self._folder.path, self._subject)
        folder = Path(run.settings.sync_dir).name
        _finish(run, ending, self._subject)
        self._folder.copy()
        after = _Finished(step=self._last_step, state=ending.state, folders=(*self._before.folders, folder))
        write_bytes(self._finished_uri, after.model_dump_json().encode())


def _begun(tracking: Tracking, folder: Path, subject: Subject) -> "wandb.Run":
    """The run with the subject's id, a new one or the same again."""
    import wandb

    spec, is_offline = subject.spec, tracking.wandb_mode == "offline"
    return wandb.init(
        project=tracking.wandb_project,
        entity=tracking.wandb_entity,
        dir=folder,
        id=subject.identity,
        name=f"{tracking.run_name or spec.run_id} g{spec.generation} {subject.name}",
        group=spec.run_id,
        job_type=spec.stage if subject.trial is None else "trial",
        tags=[f"generation-{spec.generation}"],
        config={**subject.parameters, "noisy_student": dict(subject.facts)},
        mode="offline" if is_offline else "online",
        resume=None if is_offline else "allow",
        reinit="create_new",
        settings=wandb.Settings(
            silent=True,
            console="off",
            disable_git=True,
            save_code=False,
            x_disable_meta=True,
            x_disable_stats=True,
            init_timeout=_INIT_SECONDS,
            login_timeout=_INIT_SECONDS,
        ),
    )


def _log(run: "wandb.Run", points: Sequence[Point], last_step: int) -> int:
    """Logs the points after `last_step`, and returns the new last step."""
    for point in points:
        if point.step > last_step:
            run.log(dict(point.values), step=point.step)
            last_step = point.step
    return last_step


def _finish(run: "wandb.Run", ending: Ending, subject: Subject) -> None:
    """Ends the run. One that was paused counts as preempted."""
    import wandb

    run.summary.update(dict(ending.values))
    for name, uri in ending.small_files.items():
        data = read_bytes_if_there(uri)
        if data is not None:
            file = Path(run.dir) / name
            file.write_bytes(data)
            run.save(file, base_path=run.dir, policy="now")
    if ending.weights_uri is not None and subject.spec.tracking.upload_weights:
        artifact = wandb.Artifact(f"{run.id}-weights", type="model")
        with local_copy(ending.weights_uri) as path:
            artifact.add_file(path)
        run.log_artifact(artifact)
    if ending.state == "paused":
        run.mark_preempting()
    run.finish(exit_code=0 if ending.state == "finished" else 1)
    if subject.trial is None:
        wandb.teardown()  # returns when the library's own process has written everything
