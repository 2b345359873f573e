"""Reads what stages report: progress.json and metric rows. Call it outside of any database session."""

import json
from collections.abc import Sequence
from functools import lru_cache

from pydantic import ValidationError

from service.artifacts.bulkhead import artifact_store
from service.artifacts.layout import ArtifactLayout
from service.config.stage_key import StageKey
from service.errors import ArtifactStoreUnavailable
from service.lifecycle.states import StageState
from service.views.runs import GenerationView, MetricRow, RunView, StageView
from workers.artifact_io import read_bytes_if_there
from workers.specs.reports import Progress

_KEPT = 10_000
"""How many finished stages' progress to cache; each takes about a kilobyte."""


class ProgressReader:
    """Reads the progress and metrics of stages. Thread-safe.

    The progress of a stage that has succeeded never changes, so the reader caches the most recently read ones.
    """

    def __init__(self, layout: ArtifactLayout) -> None:
        self._layout = layout
        self._read_final = lru_cache(maxsize=_KEPT)(_read)

    def fill_run(self, run: RunView) -> RunView:
        """Returns the run with the progress of its stages."""
        return run.model_copy(update={"generation_details": self.fill_generations(run.generation_details)})

    def fill_generations(self, generations: Sequence[GenerationView]) -> list[GenerationView]:
        """Returns the generations, all of one run, with the progress of their stages."""
        filled = iter(self.fill_stages([stage for generation in generations for stage in generation.stages]))
        return [
            generation.model_copy(update={"stages": [next(filled) for _ in generation.stages]})
            for generation in generations
        ]

    def fill_stages(self, stages: Sequence[StageView]) -> list[StageView]:
        """Returns the stages, all of one run, with their progress.

        If the artifact store is unavailable, they are returned without it: that is no reason to hide the rest.
        """
        if not any(stage.attempts for stage in stages):
            return list(stages)
        try:
            with artifact_store():
                return [self._filled(stage) for stage in stages]
        except ArtifactStoreUnavailable:
            return list(stages)

    def metric_rows(self, stage: StageView) -> list[MetricRow]:
        """Returns all rows that the stage's attempts logged, ordered by attempt and step.

        Raises ArtifactStoreUnavailable.
        """
        rows: list[MetricRow] = []
        for attempt in stage.attempts:
            uri = self._layout.metrics(StageKey(stage.run_id, stage.generation, stage.name), attempt.number)
            with artifact_store():
                data = read_bytes_if_there(uri) or b""
            rows += [MetricRow.model_validate(json.loads(line)) for line in data.splitlines() if line]
        return sorted(rows, key=lambda row: (row.attempt, row.step))

    def _filled(self, stage: StageView) -> StageView:
        if not stage.attempts:
            return stage
        read = self._read_final if stage.state == StageState.SUCCEEDED else _read
        try:
            progress = read(self._layout.progress(StageKey(stage.run_id, stage.generation, stage.name)))
        except OSError:
            return stage
        return stage.model_copy(update={"progress": progress})


def _read(uri: str) -> Progress | None:
    return _parse(read_bytes_if_there(uri))


def _parse(data: bytes | None) -> Progress | None:
    if data is None:
        return None
    try:
        return Progress.model_validate_json(data)
    except ValidationError:
        return None  # another version wrote it; that is no reason to hide the rest of the run
