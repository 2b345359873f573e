"""Reads the files of open attempts: result.json, failure.json, progress.json. It reads in turns if reads are costly."""

import json
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from pydantic import ValidationError

from service.artifacts.layout import ArtifactLayout
from service.artifacts.timed_calls import ArtifactCalls
from service.config.stage_key import StageKey
from service.errors import ArtifactStoreUnavailable
from service.lifecycle.snapshots import StageSnapshot
from workers.artifact_io import is_local, read_bytes_if_there
from workers.specs.reports import FailureReason, Progress, StageFailure
from workers.specs.results import STAGE_RESULT, AnyStageResult

LOOKS_AT_ONCE = 100
"""How many running stages' files one tick reads. If there are more, those read longest ago come first."""
REMOTE_INTERVAL_SECONDS = 5.0
"""The pause between two reads of a running stage's files in an object store, where each read costs money. Once Ray says
that the job has ended, its files are read in any case."""


@dataclass(frozen=True)
class OpenAttempt:
    """The attempt of a run's current stage whose Ray job may be alive."""

    run_id: str
    stage: StageSnapshot
    number: int
    job_id: str


@dataclass(frozen=True)
class AttemptFiles:
    """The content of an attempt's files. While the attempt works there is progress, but no result and no failure."""

    result: AnyStageResult | None = None
    failure: StageFailure | None = None
    progress: Progress | None = None


class StageFiles:
    """Reads attempts' files, and remembers when each was last read and what it contained.

    `monotonic` returns seconds that never go back.
    """

    def __init__(
        self,
        layout: ArtifactLayout,
        calls: ArtifactCalls,
        local: bool,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._layout = layout
        self._calls = calls
        self._interval_seconds = 0.0 if local else REMOTE_INTERVAL_SECONDS
        self._monotonic = monotonic
        self._looked_at: dict[str, float] = {}
        self._seen: dict[str, AttemptFiles | ArtifactStoreUnavailable] = {}

    def outcomes(
        self, running: Sequence[OpenAttempt], ended: Sequence[OpenAttempt]
    ) -> dict[str, AttemptFiles | ArtifactStoreUnavailable]:
        """Reads the files of all `ended` attempts and of the `running` ones whose turn it is. Returns them by job id.

        For the other attempts it returns what the last read gave, or why that read failed. Attempts that were never
        read are missing.
        """
        due = [*ended, *self._due(running)]
        answers = self._calls.many({attempt.job_id: partial(self._read, attempt) for attempt in due})
        self._looked_at |= dict.fromkeys(answers, self._monotonic())
        self._seen |= answers
        return {
            attempt.job_id: self._seen[attempt.job_id] for attempt in (*ended, *running) if attempt.job_id in self._seen
        }

    def forget_all_but(self, job_ids: Collection[str]) -> None:
        """Forgets all other attempts: they are over."""
        for job_id in self._looked_at.keys() - set(job_ids):
            del self._looked_at[job_id], self._seen[job_id]

    def _due(self, running: Sequence[OpenAttempt]) -> list[OpenAttempt]:
        now = self._monotonic()
        looked_at = {attempt.job_id: self._looked_at.get(attempt.job_id, float("-inf")) for attempt in running}
        due = [attempt for attempt in running if now - looked_at[attempt.job_id] >= self._interval_seconds]
        return sorted(due, key=lambda attempt: looked_at[attempt.job_id])[:LOOKS_AT_ONCE]

    def _read(self, attempt: OpenAttempt) -> AttemptFiles:
        key = StageKey(attempt.run_id, attempt.stage.generation, attempt.stage.name)
        result_uri = self._layout.result(key)
        result = _of_attempt(read_bytes_if_there(result_uri), attempt.number)
        if result is not None:
            try:
                return AttemptFiles(result=_parse_result(result, attempt.stage))
            except ValueError as error:
                return AttemptFiles(failure=_unreadable(attempt.number, f"{result_uri} cannot be read: {error}"))
        failure = _of_attempt(read_bytes_if_there(self._layout.failure(key)), attempt.number)
        if failure is not None:
            return AttemptFiles(failure=_parse_failure(failure, attempt.number))
        return AttemptFiles(progress=_parse_progress(read_bytes_if_there(self._layout.progress(key)), attempt.number))


def files_of(layout: ArtifactLayout, calls: ArtifactCalls) -> StageFiles:
    """Returns the reader of the files below the layout's root."""
    return StageFiles(layout, calls, is_local(layout.root))


def _of_attempt(data: bytes | None, attempt: int) -> bytes | None:
    """Returns the file's content if it belongs to this attempt, else None. Files of earlier attempts stay in place."""
    if data is None:
        return None
    try:
        value: Any = json.loads(data)
    except ValueError:
        return None
    return data if isinstance(value, dict) and value.get("attempt") == attempt else None


def _parse_result(data: bytes, stage: StageSnapshot) -> AnyStageResult:
    result = STAGE_RESULT.validate_json(data)
    if result.stage != stage.name:
        raise ValueError(f"it is the result of a {result.stage} stage")
    return result


def _parse_failure(data: bytes, attempt: int) -> StageFailure:
    try:
        return StageFailure.model_validate_json(data)
    except ValidationError as error:
        return _unreadable(attempt, f"failure.json cannot be read: {error}")


def _parse_progress(data: bytes | None, attempt: int) -> Progress | None:
    try:
        progress = None if data is None else Progress.model_validate_json(data)
    except ValidationError:
        return None  # another version wrote it; treat it as missing
    return progress if progress is not None and progress.attempt == attempt else None


def _unreadable(attempt: int, message: str) -> StageFailure:
    return StageFailure(attempt=attempt, reason=FailureReason.STAGE_ERROR, message=message)
