"""Asynchronous successive halving (ASHA, Li et al. 2018) that also compares with trials of earlier attempts."""

from collections.abc import Mapping, Sequence
from typing import cast

from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import ASHAScheduler, async_hyperband

from workers.search.tuning import TIME, TuneResult
from workers.specs.search import Trial, look_every_steps, most_steps, trial_steps
from workers.specs.stages import SearchSpec

_NO_CONTROLLER = cast(TuneController, None)
"""For the trials of an earlier attempt, which no controller runs: ASHA takes one and does not use it."""


class StepBudget:
    """Limits the steps of trials, so that all of them together take at most a share of the steps of full trials."""

    def __init__(self, trials: int, steps: int, first_rung: int, max_share: float) -> None:
        self.steps = steps
        self.first_rung = first_rung
        self._trials = trials
        self._most = most_steps(trials, steps, first_rung, max_share)
        self._granted: dict[str, int] = {}

    def grant(self, trial_id: str, step: int) -> bool:
        """Whether the trial may run up to `step`. The first rung is always granted, and a grant is never taken back."""
        granted = self._granted.get(trial_id, self.first_rung)
        others = sum(self._granted.values()) - self._granted.get(trial_id, 0)
        unbegun = self._trials - len(self._granted.keys() | {trial_id})
        affordable = others + unbegun * self.first_rung + step <= self._most
        if affordable or step <= granted:
            self._granted[trial_id] = max(granted, step)
        return trial_id in self._granted and step <= self._granted[trial_id]

    def stopped(self, trial_id: str, step: int) -> None:
        """Notes that the trial stops at `step`."""
        self._granted[trial_id] = step


class _Bracket(async_hyperband._Bracket):
    """Ray's rungs with the cut of Li et al. 2018: of n trials at a rung, the newest included, the best n // factor go
    on.

    Ray cuts at a quantile of the earlier trials, which lets nearly half of the first dozen go on.
    """

    def cutoff(self, recorded: Mapping[str, float]) -> float | None:
        if not recorded:
            return None
        going_on = max(1, (len(recorded) + 1) // int(self.rf))
        return sorted(recorded.values(), reverse=True)[going_on - 1]


class _SuccessiveHalving(ASHAScheduler):
    """Ray Tune's ASHA, but the first trial, which has the run's own recipe, always runs to its end."""

    def __init__(self, metric: str, budget: "StepBudget", reduction_factor: int) -> None:
        super().__init__(
            time_attr=TIME,
            metric=metric,
            mode="max",
            max_t=budget.steps,
            grace_period=budget.first_rung,
            reduction_factor=reduction_factor,
        )
        bracket = _Bracket(budget.first_rung, budget.steps, reduction_factor, 0)
        self._brackets = [bracket]
        self._rungs = sorted(int(milestone) for milestone, _ in bracket._rungs)
        self._budget = budget

    def on_trial_result(self, tune_controller: TuneController, trial: TuneTrial, result: TuneResult) -> str:
        action = str(super().on_trial_result(tune_controller, trial, result))
        step = result[TIME]
        if trial.config.get("number") == 0 and step < self._budget.steps:
            self._budget.grant(trial.trial_id, self._budget.steps)
            return self.CONTINUE
        next_rung = min([rung for rung in self._rungs if rung > step], default=self._budget.steps)
        if action == self.CONTINUE and self._budget.grant(trial.trial_id, next_rung):
            return self.CONTINUE
        self._budget.stopped(trial.trial_id, step)
        return self.STOP


def scheduler(spec: SearchSpec, metric: str, ended: Sequence[Trial]) -> ASHAScheduler | None:
    """The scheduler of a search's trials, which knows the `ended` trials of earlier attempts; None if none is stopped.

    Rungs lie at first_rung * reduction_factor^k steps (Li et al. 2018).
    """
    stopping = spec.settings.early_stopping
    steps = trial_steps(spec.base.recipe, spec.settings)
    first = look_every_steps(steps, spec.settings)
    if stopping is None or first >= steps:
        return None
    budget = StepBudget(spec.settings.trials, steps, first, stopping.max_steps_share)
    halving = _SuccessiveHalving(metric, budget, stopping.reduction_factor)
    for trial in ended:
        remembered = TuneTrial("remembered", stub=True, trial_id=f"remembered-{trial.number}")
        halving.on_trial_add(_NO_CONTROLLER, remembered)
        for point in trial.curve:
            halving.on_trial_result(_NO_CONTROLLER, remembered, {TIME: point.step, metric: point.objective})
        halving.on_trial_remove(_NO_CONTROLLER, remembered)
    return halving
