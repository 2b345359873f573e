"""Reads what running stages say of themselves: progress.json and the metric rows. Outside of any session."""

import json
from functools import lru_cache

from pydantic import ValidationError

from service.artifact_layout import ArtifactLayout
from service.errors import artifact_store
from service.states import StageState
from service.views import GenerationView, MetricRow, RunView, StageView
from workers.artifact_io import read_bytes_if_there
from workers.specs.reports import Progress

_KEPT = 10_000
"""About a kilobyte each."""


class ProgressReader:
    """Thread-safe. The progress of stages that have succeeded does not change any more: the last ones read are kept."""

    def __init__(self, layout: ArtifactLayout) -> None:
        self._layout = layout
        self._read_final = lru_cache(maxsize=_KEPT)(_read)

    def fill_run(self, run: RunView) -> RunView:
        """The run with the progress of its stages."""
        return run.model_copy(
            update={"generation_details": [self.fill_generation(view) for view in run.generation_details]}
        )

    def fill_generation(self, generation: GenerationView) -> GenerationView:
        return generation.model_copy(update={"stages": [self.fill_stage(stage) for stage in generation.stages]})

    def fill_stage(self, stage: StageView) -> StageView:
        return stage.model_copy(update={"progress": self._progress(stage)}) if stage.attempts else stage

    def metric_rows(self, stage: StageView) -> list[MetricRow]:
        """All rows that the stage's attempts logged, in order of attempt and step."""
        rows: list[MetricRow] = []
        for attempt in stage.attempts:
            uri = self._layout.metrics(stage.run_id, stage.generation, stage.name, attempt.number)
            with artifact_store():
                data = read_bytes_if_there(uri) or b""
            rows += [MetricRow.model_validate(json.loads(line)) for line in data.splitlines() if line]
        return sorted(rows, key=lambda row: (row.attempt, row.step))

    def _progress(self, stage: StageView) -> Progress | None:
        read = self._read_final if stage.state == StageState.SUCCEEDED else _read
        try:
            return read(self._layout.progress(stage.run_id, stage.generation, stage.name))
        except OSError:
            return None  # the store is away: no reason to hide the rest of the run


def _read(uri: str) -> Progress | None:
    return _parse(read_bytes_if_there(uri))


def _parse(data: bytes | None) -> Progress | None:
    if data is None:
        return None
    try:
        return Progress.model_validate_json(data)
    except ValidationError:
        return None  # written by another version: no reason to hide the rest of the run
