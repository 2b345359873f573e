"""Tracks a stage from its beginning to its end: event files always, servers as the spec says."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from workers.runtime.stage_reporter import Paused, Superseded
from workers.specs.results import StageResult
from workers.specs.stages import AnyStageSpec, EvaluateSpec, SearchSpec, TrainSpec
from workers.specs.tracking import Tracking
from workers.tracking.endings import Ending, ending_of_stage
from workers.tracking.follower import Follower, MakeTracker
from workers.tracking.subjects import TrackedSpec
from workers.tracking.tracker import Tracker

_END_SECONDS = 20.0
"""How long a stage waits at its end until all trackers have its last figures."""
_UPLOAD_SECONDS = 600.0
"""The same where they take the weights too."""


@contextmanager
def tracked(spec: AnyStageSpec, every_seconds: float = 10.0) -> Iterator[Callable[[StageResult], None]]:
    """Tracks the stage that runs in the `with` block, if it is one that has figures. Yields what to tell its result.

    Nothing that trackers do reaches the stage, but for the seconds that it waits for them at its end.
    """
    if not isinstance(spec, TrainSpec | SearchSpec | EvaluateSpec):
        yield lambda result: None
        return
    followers = [Follower(name, make, spec, every_seconds) for name, make in _trackers(spec)]
    for follower in followers:
        follower.start()
    ending: Ending | None = Ending("failed", spec.generation)

    def tell(result: StageResult) -> None:
        nonlocal ending
        ending = ending_of_stage(spec, result)

    try:
        yield tell
    except Superseded:
        ending = None
        raise
    except BaseException as error:
        if _is_pause(error):
            ending = Ending("paused", spec.generation)
        raise
    finally:
        _end(followers, ending, spec)


def _end(followers: Sequence[Follower], ending: Ending | None, spec: TrackedSpec) -> None:
    takes_weights = spec.tracking.upload_weights and ending is not None and ending.weights_uri is not None
    until = time.monotonic() + (_UPLOAD_SECONDS if takes_weights else _END_SECONDS)
    for follower in followers:
        follower.stop(ending)
    for follower in followers:
        follower.wait(max(0.0, until - time.monotonic()))


def _is_pause(error: BaseException | None) -> bool:
    return error is not None and (isinstance(error, Paused) or _is_pause(error.__cause__))


def _trackers(spec: TrackedSpec) -> list[tuple[str, MakeTracker]]:
    tracking = spec.tracking
    found: list[tuple[str, MakeTracker]] = [("TensorBoard's event files", _event_files)]
    if tracking.mlflow_uri is not None:
        found.append(("MLflow", partial(_mlflow, tracking)))
    if tracking.wandb_mode != "off":
        found.append(("Weights & Biases", partial(_wandb, tracking, spec.folder_uri)))
    return found


# The libraries take seconds to import: in the followers' threads, and only where they are wanted.


def _event_files() -> Tracker:
    from workers.tracking.event_files import EventFiles

    return EventFiles()


def _mlflow(tracking: Tracking) -> Tracker:
    from workers.tracking.mlflow_runs import MlflowRuns

    return MlflowRuns(tracking)


def _wandb(tracking: Tracking, folder_uri: str) -> Tracker:
    from workers.tracking.wandb_runs import WandbRuns

    return WandbRuns(tracking, folder_uri)
