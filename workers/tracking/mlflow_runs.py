"""Reports to an MLflow server, or to a folder of MLflow's: a run of its own for each stage and each trial.

They are nested: the service's run, its generation, the stage, the trial (https://mlflow.org/docs/latest/ml/tracking/).
"""

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from workers.artifact_io import local_copy, read_bytes_if_there
from workers.specs.model_card import model_id
from workers.specs.tracking import Tracking
from workers.tracking.endings import Ending, EndState
from workers.tracking.subjects import Parameter, Subject, page_of, stage_subject
from workers.tracking.timeline import Point

if TYPE_CHECKING:  # of the extra `tracking`, and only where the settings ask for it
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

_OPTIONS = {
    # Seconds for one answer, and how often a request is sent again. By default it tries for minutes.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    # Since version 3 a folder is refused unless this says that it is meant. The setting's file:/// says so.
    "MLFLOW_ALLOW_FILE_STORE": "true",
}
"""What the library finds in its environment, unless it is there already."""
_STATUS: Mapping[EndState, str] = {"finished": "FINISHED", "failed": "FAILED", "paused": "SCHEDULED"}
_KEY = "noisy_student.key"
"""The tag by which every attempt finds the run of the one before."""
_POINTS_AT_ONCE = 50
"""MLflow takes 1000 metrics in a request."""
_PARAMETERS_AT_ONCE = 100
_MAX_PARAMETER = 500
"""Letters of a value; the first servers of version 2 take no more."""


class MlflowRuns:
    """The runs of one experiment. Raises MlflowException, or what its connection raises, if the server is away."""

    def __init__(self, tracking: Tracking) -> None:
        for name, value in _OPTIONS.items():
            os.environ.setdefault(name, value)
        from mlflow import MlflowClient

        self._tracking = tracking
        self._client = MlflowClient(tracking_uri=tracking.mlflow_uri)
        self._experiment_id = self._experiment(tracking.mlflow_experiment)
        self._parents: dict[str, Run] = {}

    def open(self, subject: Subject) -> "MlflowReport":
        """The subject's run, below those that it belongs to. They count as running again."""
        spec = subject.spec
        facts = {f"noisy_student.{name}": value for name, value in subject.facts.items()}
        of_run = {"noisy_student.run": spec.run_id}
        if self._tracking.service_url is not None:
            page = page_of(self._tracking.service_url, spec.run_id)
            of_run |= {"noisy_student.page": page, "mlflow.note.content": f"[{spec.run_id}]({page})"}
        of_generation = {**of_run, "noisy_student.generation": str(spec.generation)}
        run = self._parent(spec.run_id, self._tracking.run_name or spec.run_id, of_run, None)
        generation = model_id(spec.run_id, spec.generation)
        chain = [run, self._parent(generation, f"generation {spec.generation}", of_generation, run)]
        if subject.trial is not None:
            stage = stage_subject(spec)
            chain.append(self._parent(stage.identity, stage.name, {}, chain[-1]))
        chain.append(self._run(subject.identity, subject.name, facts, chain[-1]))
        return MlflowReport(self._client, [each.info.run_id for each in chain], subject)

    def _parent(self, key: str, name: str, tags: Mapping[str, str], parent: "Run | None") -> "Run":
        if key not in self._parents:
            self._parents[key] = self._run(key, name, tags, parent)
        return self._parents[key]

    def _experiment(self, name: str) -> str:
        from mlflow.exceptions import MlflowException

        found = self._client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        with suppress(MlflowException):  # another driver may have made it meanwhile
            return str(self._client.create_experiment(name))
        found = self._client.get_experiment_by_name(name)
        if found is None:
            raise MlflowException(f"tracking.mlflow_experiment: {name!r} can be neither found nor made")
        return str(found.experiment_id)

    def _run(self, key: str, name: str, tags: Mapping[str, str], parent: "Run | None") -> "Run":
        """The run with that key, with these tags; of two that drivers make at once, all take the older one."""
        from mlflow.entities import RunTag

        nested = {} if parent is None else {"mlflow.parentRunId": parent.info.run_id}
        known = {**tags, **nested}
        run = self._oldest(key)
        if run is None:
            made = self._client.create_run(self._experiment_id, tags={**known, _KEY: key}, run_name=name)
            run = self._oldest(key) or made
            if run.info.run_id != made.info.run_id:
                self._client.delete_run(made.info.run_id)
        missing = [RunTag(tag, value) for tag, value in known.items() if run.data.tags.get(tag) != value]
        if missing:
            self._client.log_batch(run.info.run_id, tags=missing)
        if run.info.status != "RUNNING":
            self._client.update_run(run.info.run_id, status="RUNNING")
        return run

    def _oldest(self, key: str) -> "Run | None":
        found = self._client.search_runs(
            [self._experiment_id], f"tags.`{_KEY}` = '{key}'", max_results=1, order_by=["attributes.start_time ASC"]
        )
        return found[0] if found else None


class MlflowReport:
    """The run of a stage or a trial. `chain` has its id, after those of the runs that it is in, the service's first."""

    def __init__(self, client: "MlflowClient", chain: Sequence[str], subject: Subject) -> None:
        self._client = client
        self._chain = chain
        self._run_id = chain[-1]
        self._subject = subject
        known = client.get_run(self._run_id).data
        self._log_parameters({name: value for name, value in subject.parameters.items() if name not in known.params})
        self._last_step = max(map(self._last_step_of, known.metrics), default=-1)

    def write(self, points: Sequence[Point]) -> None:
        """Logs the points after the last one that the server has: what was trained twice is the same both times."""
        new = [point for point in points if point.step > self._last_step]
        for first in range(0, len(new), _POINTS_AT_ONCE):
            batch = new[first : first + _POINTS_AT_ONCE]
            metrics = [metric for point in batch for metric in _metrics(point.step, point.at, point.values)]
            self._client.log_batch(self._run_id, metrics=metrics)
            self._last_step = batch[-1].step

    def end(self, ending: Ending) -> None:
        """Logs the result's figures and small files. The run ends; so do those that it is in, until a next one begins.

        The service's run has the figures of its evaluations too, by generation.
        """
        self._log_result(self._run_id, ending)
        if self._subject.spec.stage == "evaluate":
            self._log_result(self._chain[0], ending)
        ended = [self._run_id] if self._subject.trial is not None else reversed(self._chain)
        for run_id in ended:
            self._client.set_terminated(run_id, status=_STATUS[ending.state])
        for name, uri in ending.small_files.items():
            data = read_bytes_if_there(uri)
            if data is not None:
                self._client.log_text(self._run_id, data.decode(), name)
        if ending.weights_uri is not None and self._subject.spec.tracking.upload_weights:
            with local_copy(ending.weights_uri) as path:
                self._client.log_artifact(self._run_id, path)

    def _log_result(self, run_id: str, ending: Ending) -> None:
        known = self._client.get_run(run_id).data.metrics
        new = {name: value for name, value in ending.values.items() if known.get(name) != value}
        self._client.log_batch(run_id, metrics=_metrics(ending.step, time.time(), new))

    def _log_parameters(self, parameters: Mapping[str, Parameter]) -> None:
        from mlflow.entities import Param

        found = [Param(name, str(value)[:_MAX_PARAMETER]) for name, value in parameters.items()]
        for first in range(0, len(found), _PARAMETERS_AT_ONCE):
            self._client.log_batch(self._run_id, params=found[first : first + _PARAMETERS_AT_ONCE])

    def _last_step_of(self, name: str) -> int:
        return max((metric.step for metric in self._client.get_metric_history(self._run_id, name)), default=-1)


def _metrics(step: int, at: float, values: Mapping[str, float]) -> "list[Metric]":
    from mlflow.entities import Metric

    return [Metric(name, value, int(1000 * at), step) for name, value in values.items()]
