"""Keeps the trials of one search: what to try next, what came of it, and trials.json for a rerun."""

import time
from collections.abc import Callable, Mapping

from workers.artifact_io import join_uri, write_bytes
from workers.runtime.stage_reporter import StageReporter
from workers.runtime.trials_file import read_trials, trial_folder
from workers.search.model_cost import ModelCost
from workers.search.sampler import Sampler
from workers.search.space import default_parameters, distributions, draw_of, drawn_parameters, trial_recipe
from workers.search.tuning import Training
from workers.specs.search import TRIALS_FILE, Trial, TrialParameters, TrialPoint, Trials, trial_steps
from workers.specs.stages import SearchSpec, TrainSpec
from workers.specs.worker_group import WorkerGroup

_DRAWS_FOR_A_NEW_POINT = 100
"""How often a new point is drawn if a point was tried before. Trials are deterministic, so a point is repeated only
if the space is exhausted."""


class TrialBook:
    """Proposes trainings and writes down their results. Not thread-safe: only the driver uses it.

    The first trial is the recipe itself. Trials that have ended in an earlier attempt are kept; those that were running
    begin again with the same parameters. `costs` has the models within the limits, ordered by size, and `bases` the
    full trainings of models that are not trained as the base's is.
    """

    def __init__(
        self,
        spec: SearchSpec,
        costs: dict[str, ModelCost],
        reporter: StageReporter,
        clock: Callable[[], float] = time.time,
        bases: Mapping[str, TrainSpec] = {},
    ) -> None:
        self._spec = spec
        self._bases = {spec.base.model: spec.base, **bases}
        self._costs = costs
        self._reporter = reporter
        self._clock = clock
        self._models = [model for model in spec.models if model in costs]
        self._space = distributions(spec.settings.space, self._models)
        self._sampler = Sampler(self._space, spec.seed)
        self._default = default_parameters(spec.base.model, spec.base.recipe)
        self._steps = trial_steps(spec.base.recipe, spec.settings)
        self._started_at: dict[int, float] = {}
        self._trials = read_trials(spec.folder_uri)
        self._interrupted = [trial.number for trial in self._trials.values() if trial.state == "running"]
        for trial in self.ended:
            self._teach(trial)

    @property
    def ended(self) -> list[Trial]:
        """The trials that finished, were stopped early, or failed, ordered by number."""
        return [trial for _, trial in sorted(self._trials.items()) if trial.state != "running"]

    def propose(self) -> Training | None:
        """The next training; None if all have been proposed, or the search must pause."""
        if self._reporter.pause_requested():
            return None
        if self._interrupted:
            number = self._interrupted.pop(0)
            parameters = self._trials[number].parameters
        else:
            number = len(self._trials)
            if number >= self._spec.settings.trials:
                return None
            parameters = self._new_parameters(number)
        cost = self._costs[parameters.model]
        self._put(
            Trial(
                number=number,
                state="running",
                parameters=parameters,
                model_parameters=cost.parameters,
                multiply_adds=cost.multiply_adds,
            )
        )
        return Training(number, self._train_spec(number, parameters))

    def started(self, number: int) -> None:
        """Notes that the trial runs, for the first time, or again because its worker was lost."""
        self._started_at[number] = self._clock()
        self._change(number, curve=(), steps=0)

    def reported(self, number: int, step: int, values: dict[str, float]) -> None:
        """Notes what the trial has measured on the validation set."""
        corrupted = self._spec.settings.objective == "corrupted_accuracy"
        objective = values["validation_corrupted_top1"] if corrupted else values["validation_top1"]
        point = TrialPoint(step=step, objective=objective, validation_top1=values["validation_top1"])
        earlier = tuple(each for each in self._trials[number].curve if each.step < step)
        self._change(number, curve=(*earlier, point), steps=step, seconds=self._seconds(number))

    def ended_with(self, number: int, failure: str | None) -> None:
        """Notes that the trial has ended: at its last step, stopped early, or failed."""
        trial = self._trials[number]
        state = "failed" if failure else "finished" if trial.steps >= self._steps else "pruned"
        if trial.state != "running":
            return
        self._change(number, state=state, message=failure, seconds=self._seconds(number))
        self._teach(self._trials[number])

    def _new_parameters(self, number: int) -> TrialParameters:
        if number == 0 and self._default.model in self._costs:
            return self._default
        if not self._space:
            return drawn_parameters({}, self._default, self._models)
        taken = {trial.parameters for trial in self._trials.values()}
        for _ in range(_DRAWS_FOR_A_NEW_POINT):
            parameters = drawn_parameters(self._sampler.draw(number), self._default, self._models)
            if parameters not in taken:
                break
        return parameters

    def _train_spec(self, number: int, parameters: TrialParameters) -> TrainSpec:
        settings = self._spec.settings
        base = self._bases.get(parameters.model, self._spec.base)
        pseudo = base.pseudo_labels
        return base.model_copy(
            update={
                "attempt": self._spec.attempt,
                "folder_uri": trial_folder(self._spec.folder_uri, number),
                "model": parameters.model,
                "recipe": trial_recipe(base.recipe, parameters, settings),
                "pseudo_labels": pseudo and pseudo.model_copy(update={"fraction": settings.pool_fraction}),
                "validate_corrupted": settings.objective == "corrupted_accuracy",
                "workers": _trial_workers(base.workers, settings.workers_per_trial),
            }
        )

    def _teach(self, trial: Trial) -> None:
        draw = draw_of(trial.parameters, self._models, self._space)
        if draw is not None:
            self._sampler.teach(trial, draw)

    def _seconds(self, number: int) -> float:
        return self._clock() - self._started_at.get(number, self._clock())

    def _change(self, number: int, **changes: object) -> None:
        self._put(self._trials[number].model_copy(update=changes))

    def _put(self, trial: Trial) -> None:
        self._trials[trial.number] = trial
        self._reporter.check_still_ours()
        book = Trials(attempt=self._spec.attempt, trials=tuple(self._trials[n] for n in sorted(self._trials)))
        write_bytes(join_uri(self._spec.folder_uri, TRIALS_FILE), book.model_dump_json().encode())
        best = max((t.objective for t in self.ended if t.objective is not None), default=None)
        values = {"steps": float(sum(each.steps for each in self._trials.values()))}
        self._reporter.update(len(self.ended), values if best is None else {**values, "best_objective": best})


def _trial_workers(workers: WorkerGroup, workers_per_trial: int) -> WorkerGroup:
    return workers.model_copy(update={"num_workers": workers_per_trial})
