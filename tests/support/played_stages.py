"""Stages that log figures and end, without training: what a tracker sees of a train, a search and an evaluate stage."""

import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from workers.artifact_io import join_uri, write_bytes
from workers.runtime.stage_reporter import StageReporter
from workers.runtime.trials_file import trial_folder
from workers.specs.evaluation import ExternalSet
from workers.specs.labeling import PseudoLabels
from workers.specs.recipe import Recipe
from workers.specs.results import Confusion, EvaluateResult, Metrics, SearchResult, StageTiming, TrainResult
from workers.specs.search import (
    TRIALS_FILE,
    SearchOutcome,
    SearchSettings,
    Trial,
    TrialParameters,
    TrialPoint,
    Trials,
    TrialState,
)
from workers.specs.stages import ActorPool, EvaluateSpec, SearchSpec, TrainSpec, spec_name
from workers.specs.tracking import Tracking
from workers.specs.worker_group import WorkerGroup
from workers.tracking.stage_tracking import tracked

RUN = "run-0a1b"
RECIPE = Recipe(steps=40)
TIMING = StageTiming(entered_at=1.0, work_started_at=2.0, work_ended_at=3.0)
NO_TRACKING = Tracking()
METRICS = Metrics(
    images=4,
    top1=0.75,
    top5=1.0,
    per_class={"cat": 0.5, "dog": 1.0},
    expected_calibration_error=0.125,
    confusion=Confusion(classes=2, counts=((0, 0, 1), (0, 1, 1), (1, 1, 2))),
)
SOON = 0.02
"""Seconds between two looks at the stage's files."""


def train_spec(root: str, attempt: int = 1, tracking: Tracking = NO_TRACKING, generation: int = 1) -> TrainSpec:
    """A student's training; its spec is in its folder."""
    spec = TrainSpec(
        run_id=RUN,
        generation=generation,
        attempt=attempt,
        folder_uri=join_uri(root, "runs", RUN, f"gen-{generation}", "train"),
        seed=7,
        model="resnet18",
        classes=("cat", "dog"),
        recipe=RECIPE,
        labeled_manifest_uri="/labeled",
        validation_manifest_uri="/validation",
        pseudo_labels=PseudoLabels(
            manifest_uri="/m", labels_uri="/l", selection_uri="/s", teachers=(f"{RUN}-g{generation - 1}",)
        ),
        workers=WorkerGroup(num_workers=1),
        tracking=tracking,
    )
    write_bytes(join_uri(spec.folder_uri, spec_name(attempt)), spec.model_dump_json().encode())
    return spec


def evaluate_spec(root: str, tracking: Tracking = NO_TRACKING, generation: int = 1, attempt: int = 1) -> EvaluateSpec:
    """The evaluation of the student."""
    folder = join_uri(root, "runs", RUN, f"gen-{generation}")
    spec = EvaluateSpec(
        run_id=RUN,
        generation=generation,
        attempt=attempt,
        folder_uri=join_uri(folder, "evaluate"),
        seed=7,
        model_uri=join_uri(folder, "train"),
        manifest_uri="/test",
        pool=ActorPool(),
        external=(ExternalSet(name="photos (2019)", manifest_uri="/photos"),),
        tracking=tracking,
    )
    write_bytes(join_uri(spec.folder_uri, spec_name(attempt)), spec.model_dump_json().encode())
    return spec


def search_spec(root: str, tracking: Tracking = NO_TRACKING, attempt: int = 1) -> SearchSpec:
    """The search before the student's training."""
    spec = SearchSpec(
        run_id=RUN,
        generation=1,
        attempt=attempt,
        folder_uri=join_uri(root, "runs", RUN, "gen-1", "search"),
        seed=7,
        base=train_spec(root, tracking=tracking),
        settings=SearchSettings(trials=2),
        tracking=tracking,
    )
    write_bytes(join_uri(spec.folder_uri, spec_name(attempt)), spec.model_dump_json().encode())
    return spec


def log(spec: TrainSpec, steps: Sequence[int], after_step: int = 0) -> None:
    """Logs a row for each step, as the first worker of a training that goes on from `after_step` does."""
    reporter = StageReporter(spec, 0.0)
    reporter.keep_rows(after_step)
    for step in steps:
        reporter.log_row(step, dict(figures(step)))


def figures(step: int) -> Mapping[str, float]:
    """The figures of a step; every tenth one is a validation."""
    values = {"loss": 1.0 / step, "images_per_second": 100.0, "learning_rate": 0.01}
    return {**values, "validation_top1": step / 100} if step % 10 == 0 else values


def train(spec: TrainSpec, steps: Sequence[int], after_step: int = 0) -> None:
    """A whole training, with the files that its model has."""
    with tracked(spec, SOON) as tell:
        log(spec, steps, after_step)
        write_bytes(join_uri(spec.folder_uri, "model.json"), b'{"model": "resnet18"}')
        write_bytes(join_uri(spec.folder_uri, "model.safetensors"), b"weights")
        write_bytes(join_uri(spec.folder_uri, "initial", "report.json"), b'{"taken": []}')
        tell(train_result(spec))


def break_off(spec: TrainSpec, steps: Sequence[int], error: BaseException, every_seconds: float = 1000.0) -> None:
    """A training that logs some rows, by default all between two looks of its trackers, and ends with the error."""
    with suppress(type(error)), tracked(spec, every_seconds):
        log(spec, steps)
        raise error


def be_killed(spec: TrainSpec, steps: Sequence[int], told: Callable[[], bool]) -> None:
    """A training whose driver logs some rows and is killed once `told` says that the tracker has them."""
    with tracked(spec, SOON):
        log(spec, steps)
        while not told():
            time.sleep(SOON)
        os.kill(os.getpid(), signal.SIGKILL)


def train_result(spec: TrainSpec) -> TrainResult:
    """The result of the training."""
    return TrainResult(
        attempt=spec.attempt,
        timing=TIMING,
        model_uri=spec.folder_uri,
        parameters=1000,
        steps=40,
        resumed_from_step=0,
        images_seen=640,
        final_loss=0.025,
        validation_top1=0.4,
        bad_images=0,
    )


def evaluate(spec: EvaluateSpec, top1: float = 0.75) -> None:
    """A whole evaluation."""
    metrics = METRICS.model_copy(update={"top1": top1})
    with tracked(spec, SOON) as tell:
        external = {"photos (2019)": METRICS}
        tell(EvaluateResult(attempt=spec.attempt, timing=TIMING, metrics=metrics, bad_images=0, external=external))


def search(spec: SearchSpec) -> None:
    """A whole search of two trials. The second one has been stopped early."""
    with tracked(spec, SOON) as tell:
        trials = (trial(spec, 0, "finished", (5, 10)), trial(spec, 1, "pruned", (5,)))
        outcome = SearchOutcome(
            trials=trials,
            best_trial=0,
            model="resnet18",
            recipe=RECIPE,
            steps_run=15,
            steps_of_full_trials=20,
            pareto_front=(0,),
            excluded_models=(),
        )
        tell(SearchResult(attempt=spec.attempt, timing=TIMING, outcome=outcome))


def trial(spec: SearchSpec, number: int, state: TrialState, steps: Sequence[int]) -> Trial:
    """A trial of the search, in its files: what it has logged, and its line among the trials."""
    folder = trial_folder(spec.folder_uri, number)
    log(spec.base.model_copy(update={"folder_uri": folder, "attempt": spec.attempt}), steps)
    made = Trial(
        number=number,
        state=state,
        parameters=TrialParameters(
            model="resnet18",
            rand_augment_n=2,
            rand_augment_m=3 * number,
            dropout=0.5,
            drop_path=0.2,
            unlabeled_ratio=1.0,
        ),
        curve=tuple(TrialPoint(step=step, objective=step / 100, validation_top1=step / 100) for step in steps),
        model_parameters=1000,
        multiply_adds=1000,
        steps=steps[-1],
    )
    others = [each for each in _trials(spec) if each.number != number]
    book = Trials(attempt=spec.attempt, trials=(*others, made))
    write_bytes(join_uri(spec.folder_uri, TRIALS_FILE), book.model_dump_json().encode())
    return made


def _trials(spec: SearchSpec) -> Sequence[Trial]:
    file = Path(spec.folder_uri) / TRIALS_FILE
    return Trials.model_validate_json(file.read_bytes()).trials if file.exists() else ()
