"""Reports to Weights & Biases: a run for each stage and each trial, in a group with the others of the service's run.

Offline, the runs are folders beside the stage's files; `wandb sync` uploads them (https://docs.wandb.ai/guides/track).
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from workers.artifact_io import is_local, join_uri, local_copy, open_filesystem, read_bytes_if_there, write_bytes
from workers.specs.base import Frozen
from workers.specs.tracking import Tracking
from workers.tracking.endings import Ending
from workers.tracking.subjects import Subject
from workers.tracking.timeline import Point

_FOLDER = "wandb"
"""The library's own name for its folder."""
_INIT_SECONDS = 30.0


class WandbRuns:
    """The runs of one project. Raises wandb.Error if there is no key, or no server within half a minute."""

    def __init__(self, tracking: Tracking, folder_uri: str) -> None:
        self._tracking = tracking
        self._folder = _LocalFolder(folder_uri)

    def open(self, subject: Subject) -> "WandbReport":
        """The subject's run. Its id is the same for all attempts, so that each goes on with the run before."""
        import wandb  # of the extra `tracking`, and only where the settings ask for it

        try:
            return WandbReport(self._tracking, self._folder, subject)
        except Exception:
            wandb.teardown()  # otherwise its own process would hold the id of a run whose beginning took too long
            raise


class _LocalFolder:
    """Where the library writes: the stage's folder; for one in a bucket a folder of this machine, which is copied."""

    def __init__(self, folder_uri: str) -> None:
        self._uri = folder_uri
        self._is_copied = not is_local(folder_uri)
        self._temporary = tempfile.TemporaryDirectory() if self._is_copied else None
        self.path = Path(self._temporary.name if self._temporary else open_filesystem(folder_uri)[1])
        self.path.mkdir(parents=True, exist_ok=True)

    def copy(self, folder: Path) -> None:
        """Copies what is in a folder in this one, if need be."""
        for file in folder.rglob("*") if self._is_copied else ():
            if file.is_file() and not file.is_symlink():
                write_bytes(join_uri(self._uri, *file.relative_to(self.path).parts), file.read_bytes())


class _Logged(Frozen):
    """How far the attempts so far have come: a folder of an offline run does not know of those before it."""

    step: int


class WandbReport:
    """The run of a stage or a trial."""

    def __init__(self, tracking: Tracking, folder: _LocalFolder, subject: Subject) -> None:
        import wandb

        spec = subject.spec
        self._subject = subject
        self._is_offline = tracking.wandb_mode == "offline"
        self._folder = folder
        self._run = wandb.init(
            project=tracking.wandb_project,
            entity=tracking.wandb_entity,
            dir=folder.path,
            id=subject.identity,
            name=f"{tracking.run_name or spec.run_id} g{spec.generation} {subject.name}",
            group=spec.run_id,
            job_type=spec.stage if subject.trial is None else "trial",
            tags=[f"generation-{spec.generation}"],
            config={**subject.parameters, "noisy_student": dict(subject.facts)},
            mode="offline" if self._is_offline else "online",
            resume=None if self._is_offline else "allow",
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
        self._logged_uri = join_uri(spec.folder_uri, _FOLDER, f"{subject.identity}.json")
        data = read_bytes_if_there(self._logged_uri)
        before = -1 if data is None else _Logged.model_validate_json(data).step
        self._last_step = max(before, self._run.starting_step - 1)

    def write(self, points: Sequence[Point]) -> None:
        """Logs the points after the last one that was logged: what was trained twice is the same both times."""
        new = [point for point in points if point.step > self._last_step]
        if not new:
            return
        for point in new:
            self._run.log(dict(point.values), step=point.step)
        self._last_step = new[-1].step
        self._keep()

    def end(self, ending: Ending) -> None:
        """Adds the result's figures and small files, and ends the run. One that was paused counts as preempted."""
        self._run.summary.update(dict(ending.values))
        for name, uri in ending.small_files.items():
            data = read_bytes_if_there(uri)
            if data is not None:
                file = Path(self._run.dir) / name
                file.write_bytes(data)
                self._run.save(file, base_path=self._run.dir, policy="now")
        if ending.weights_uri is not None and self._subject.spec.tracking.upload_weights:
            self._add_weights(ending.weights_uri)
        if ending.state == "paused":
            self._run.mark_preempting()
        self._run.finish(exit_code=0 if ending.state == "finished" else 1)
        self._keep()
        if self._subject.trial is None:
            import wandb

            wandb.teardown()  # returns when the library's own process has written everything
            self._folder.copy(self._folder.path / _FOLDER)

    def _add_weights(self, uri: str) -> None:
        import wandb

        artifact = wandb.Artifact(f"{self._run.id}-weights", type="model")
        with local_copy(uri) as path:
            artifact.add_file(path, policy="mutable" if is_local(uri) else "immutable")  # no second copy of a local one
        self._run.log_artifact(artifact)

    def _keep(self) -> None:
        """Notes how far it has come, and copies the folder of an offline run to a bucket."""
        if self._is_offline:
            self._folder.copy(Path(self._run.settings.sync_dir))
        write_bytes(self._logged_uri, _Logged(step=self._last_step).model_dump_json().encode())
