"""Follows a stage for one tracker, in a thread of the stage's driver. Whatever goes wrong there stays there."""

import logging
import threading
from collections.abc import Callable

from workers.runtime.stage_reporter import latest_attempt
from workers.runtime.trials_file import read_trials, trial_folder
from workers.specs.stages import SearchSpec, TrainSpec
from workers.tracking.endings import Ending, ending_of_trial
from workers.tracking.subjects import TrackedSpec, stage_subject, trial_subject
from workers.tracking.timeline import Timeline
from workers.tracking.tracker import Report, Tracker

logger = logging.getLogger(__name__)

MakeTracker = Callable[[], Tracker]
"""Imports the tracker's library and connects. The thread calls it, again after each error."""


class Follower:
    """Reads the stage's files every `every_seconds`, and tells the tracker what is new.

    The files are the one source of all figures: no process that trains knows of trackers. After an error it tries
    again later, with all that the tracker has missed. It stops once a later attempt owns the folder.
    """

    def __init__(
        self,
        name: str,
        make_tracker: MakeTracker,
        spec: TrackedSpec,
        every_seconds: float = 10.0,
        after_error_seconds: float = 60.0,
    ) -> None:
        self._name = name
        self._make_tracker = make_tracker
        self._spec = spec
        self._every_seconds = every_seconds
        self._after_error_seconds = after_error_seconds
        self._tracker: Tracker | None = None
        self._stage: Report | None = None
        self._trials: dict[int, Report] = {}
        self._over: set[int] = set()
        """The trials whose end has been told."""
        self._timelines: dict[int | None, Timeline] = {}
        self._trouble = ""
        self._ending: Ending | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name=f"tracking-{name}")

    def start(self) -> None:
        """Begins to follow."""
        self._thread.start()

    def stop(self, ending: Ending | None) -> None:
        """Makes the thread end after it has told how the stage ended; None: there is nothing to tell any more."""
        self._ending = ending
        self._stopped.set()

    def wait(self, seconds: float) -> None:
        """Waits until the thread has ended, but no longer than this."""
        self._thread.join(seconds)
        if self._thread.is_alive():
            logger.warning("%s does not answer: it misses the last figures of this stage", self._name)

    def _run(self) -> None:
        is_last = False
        while not is_last:
            is_last = self._stopped.is_set()
            if is_last and self._ending is None:
                return
            try:
                if latest_attempt(self._spec.folder_uri) > self._spec.attempt:
                    return
                self._look(self._ending if is_last else None)
            except Exception as error:  # a library's, of any kind: none may reach the stage
                self._give_up(error)
            if not is_last:
                self._stopped.wait(self._after_error_seconds if self._tracker is None else self._every_seconds)

    def _look(self, ending: Ending | None) -> None:
        if self._tracker is None:
            self._tracker = self._make_tracker()
        if self._stage is None:
            self._stage = self._tracker.open(stage_subject(self._spec))
        if isinstance(self._spec, TrainSpec):
            self._stage.write(self._timeline(None, self._spec.folder_uri).read())
        if isinstance(self._spec, SearchSpec):
            self._look_at_trials(self._tracker, self._spec)
        if ending is not None:
            self._stage.end(ending)

    def _look_at_trials(self, tracker: Tracker, spec: SearchSpec) -> None:
        for number, trial in read_trials(spec.folder_uri).items():
            if number in self._over:
                continue
            report = self._trials.get(number) or tracker.open(trial_subject(spec, trial))
            self._trials[number] = report
            report.write(self._timeline(number, trial_folder(spec.folder_uri, number)).read())
            if trial.state != "running":
                report.end(ending_of_trial(trial))
                del self._trials[number], self._timelines[number]
                self._over.add(number)

    def _timeline(self, trial: int | None, folder_uri: str) -> Timeline:
        if trial not in self._timelines:
            self._timelines[trial] = Timeline(folder_uri, self._spec.attempt)
        return self._timelines[trial]

    def _give_up(self, error: Exception) -> None:
        """Forgets the tracker until the next try. The same trouble is logged once."""
        self._tracker, self._stage = None, None
        self._trials.clear()
        trouble = f"{type(error).__name__}: {error}".strip().splitlines()[0][:500]
        if isinstance(error, ModuleNotFoundError):
            trouble += "; the cluster's nodes need noisy-student[tracking]"
        if trouble != self._trouble:
            logger.warning("figures do not reach %s, the stage goes on without: %s", self._name, trouble)
        self._trouble = trouble
