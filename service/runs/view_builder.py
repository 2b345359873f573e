"""Builds views from rows. Two parts are added elsewhere: `service.scheduling.queue_places` adds the place in the queue,
and `service.runs.progress` adds the progress, which is not in the database."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter

from service.artifacts.layout import ArtifactLayout
from service.config.run import GenerationPlan, RunConfig
from service.config.settings.groups import RaySettings
from service.config.stage_key import StageKey
from service.lifecycle.states import AttemptState, RunKind, StageState
from service.runs.run_warnings import run_warnings
from service.stages.order import stage_name
from service.stages.result_summary import summary
from service.store.run_rows import GenerationRows, RunRows
from service.store.schema.tables import AttemptRow, EventRow, ModelRow, RunRow, StageRow
from service.store.stored_values import read_if_possible, recorded_devices, recorded_wait
from service.views.base import as_time, time_or_none
from service.views.queue import QueuePlace
from service.views.runs import (
    AttemptView,
    EventView,
    GenerationView,
    ModelView,
    RunSummary,
    RunView,
    StageTimes,
    StageView,
    StageWait,
)
from workers.specs.hygiene import JudgedOn
from workers.specs.results import StageTiming

_JUDGED_ON: TypeAdapter[JudgedOn] = TypeAdapter(JudgedOn)


class ViewBuilder:
    """Builds views of runs and their parts."""

    def __init__(self, layout: ArtifactLayout, ray: RaySettings) -> None:
        self._layout = layout
        self._dashboard_url = ray.dashboard_url

    def run(self, rows: RunRows) -> RunView:
        """Returns the run with all its parts, except its place in the queue and the progress of its stages."""
        details = self.generations(rows.parts)
        config = read_if_possible(RunConfig, rows.run.config, rows.run.id)
        return RunView(
            **dict(run_summary(rows.run, len(details), None, stage_wait(rows.parts.attempts))),
            config=config,
            generation_details=details,
            warnings=[] if config is None else run_warnings(config),
        )

    def generations(self, rows: GenerationRows) -> list[GenerationView]:
        """Returns the generations with their stages and models, in the order of the rows."""
        stages_of: dict[int, list[StageView]] = {}
        for stage in self.stages(rows.stages, rows.attempts):
            stages_of.setdefault(stage.generation, []).append(stage)
        model_of = {model.generation: model_view(model) for model in rows.models}
        if rows.given is not None:
            model_of[0] = _given_model_view(rows.given, stages_of.get(0, []))
        return [
            GenerationView(
                number=row.number,
                state=row.state,
                plan=read_if_possible(GenerationPlan, row.plan, row.run_id),
                stages=stages_of.get(row.number, []),
                model=model_of.get(row.number),
                promoted=row.promoted,
                gate_reason=row.gate_reason,
                gate_on=None if row.gate_on is None else _JUDGED_ON.validate_python(row.gate_on),
            )
            for row in rows.generations
        ]

    def stages(
        self,
        rows: Iterable[StageRow],
        attempts: Iterable[AttemptRow],
        shorten: Callable[[Mapping[str, Any]], dict[str, Any]] = summary,
    ) -> list[StageView]:
        """Returns stages of one run with their attempts, in the order of the rows. `shorten` shortens their results."""
        attempts_of: dict[tuple[int, str], list[AttemptRow]] = {}
        for attempt in attempts:
            attempts_of.setdefault((attempt.generation, attempt.stage), []).append(attempt)
        return [self._stage(row, attempts_of.get((row.generation, row.name), []), shorten) for row in rows]

    def attempt(self, row: AttemptRow) -> AttemptView:
        return AttemptView(
            number=row.number,
            submission_id=row.submission_id,
            state=row.state,
            failure_reason=row.failure_reason,
            failure_message=row.failure_message,
            dashboard_url=f"{self._dashboard_url}/#/jobs/{row.submission_id}" if _is_at_ray(row) else None,
            job_url="" if row.submitted_at is None else _job_url(row),
            log_saved=row.log_saved,
            devices=recorded_devices(row.device_kind, row.devices),
            created_at=as_time(row.created_at),
            submitted_at=time_or_none(row.submitted_at),
            finished_at=time_or_none(row.finished_at),
        )

    def _stage(
        self, row: StageRow, attempts: list[AttemptRow], shorten: Callable[[Mapping[str, Any]], dict[str, Any]]
    ) -> StageView:
        name = stage_name(row.name)
        key = StageKey(row.run_id, row.generation, name)
        result = None if row.result is None else json.loads(row.result)
        return StageView(
            id=key.stage_id,
            run_id=row.run_id,
            generation=row.generation,
            name=name,
            state=row.state,
            folder_uri=self._layout.stage_folder(key),
            attempts=[self.attempt(attempt) for attempt in attempts],
            progress=None,
            result=None if result is None else shorten(result),
            times=None if result is None else stage_times(row, StageTiming.model_validate(result["timing"]), attempts),
            ready_at=time_or_none(row.ready_at),
            finished_at=time_or_none(row.finished_at),
        )


def _job_url(row: AttemptRow) -> str:
    return f"/ui/runs/{row.run_id}/generations/{row.generation}/stages/{row.stage}/attempts/{row.number}/job"


def _is_at_ray(row: AttemptRow) -> bool:
    return row.submitted_at is not None and row.job_closed_at is None


def stage_wait(attempts: Iterable[AttemptRow]) -> StageWait | None:
    """Returns what a run waits for, from its attempts: only one that is on the cluster can wait."""
    for row in attempts:
        waiting = recorded_wait(row.waiting, row.submission_id)
        if row.state == AttemptState.SUBMITTED and waiting is not None:
            return StageWait(
                generation=row.generation,
                stage=stage_name(row.stage),
                kind=waiting.kind,
                reason=waiting.reason,
                since=as_time(waiting.since),
            )
    return None


def run_summary(
    row: RunRow, generations: int, queue: QueuePlace | None, waiting: StageWait | None = None
) -> RunSummary:
    return RunSummary(
        id=row.id,
        kind=RunKind(row.kind),
        name=row.name,
        project=row.project,
        priority=row.priority,
        queue=queue,
        waiting=waiting,
        state=row.state,
        state_reason=row.state_reason,
        generations=generations,
        created_at=as_time(row.created_at),
        finished_at=time_or_none(row.finished_at),
    )


def model_view(row: ModelRow) -> ModelView:
    return ModelView(
        id=row.id,
        run_id=row.run_id,
        generation=row.generation,
        model=row.model,
        parameters=row.parameters,
        uri=row.uri,
        validation_top1=row.validation_top1,
        test_top1=row.test_top1,
        created_at=as_time(row.created_at),
        kept=row.kept,
        imported_from=row.imported_from,
        weights_digest=row.weights_digest,
    )


def _given_model_view(row: ModelRow, stages: Iterable[StageView]) -> ModelView:
    """Returns a given teacher with what the run's own evaluate stage measured of it, which other runs' figures are not
    comparable with."""
    result = next((stage.result for stage in stages if stage.name == "evaluate"), None) or {}
    validation = result.get("validation") or {}
    test_top1, validation_top1 = (part.get("metrics", {}).get("top1") for part in (result, validation))
    return model_view(row).model_copy(update={"test_top1": test_top1, "validation_top1": validation_top1})


def event_view(row: EventRow) -> EventView:
    return EventView(
        id=row.id,
        run_id=row.run_id,
        at=as_time(row.at),
        generation=row.generation,
        stage=None if row.stage is None else stage_name(row.stage),
        attempt=row.attempt,
        kind=row.kind,
        message=row.message,
    )


def stage_times(row: StageRow, timing: StageTiming, attempts: Sequence[AttemptRow]) -> StageTimes | None:
    """Returns how long each phase of the stage took, in seconds, or None if it has not succeeded.

    `timing` comes from the stage's result. Earlier, failed attempts count as waiting.
    """
    if row.state != StageState.SUCCEEDED or row.ready_at is None or row.finished_at is None:
        return None
    winner = next(attempt for attempt in attempts if attempt.state == AttemptState.SUCCEEDED)
    # If no submit time is on record, the reconciler was down from before the submit until after the result.
    submitted_at = timing.entered_at if winner.submitted_at is None else winner.submitted_at
    total, work = row.finished_at - row.ready_at, timing.work_ended_at - timing.work_started_at
    # The stage's machine has its own clock, so differences may be negative; clamp them to zero.
    return StageTimes(
        total_seconds=total,
        work_seconds=work,
        overhead_seconds=max(0.0, total - work),
        waiting_seconds=max(0.0, submitted_at - row.ready_at),
        start_seconds=max(0.0, timing.entered_at - submitted_at),
        setup_seconds=max(0.0, timing.work_started_at - timing.entered_at),
        finish_seconds=max(0.0, row.finished_at - timing.work_ended_at),
    )
