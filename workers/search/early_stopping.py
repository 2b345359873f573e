"""Asynchronous successive halving that remembers: a resumed search compares with the trials that had ended before."""

from collections.abc import Mapping, Sequence
from typing import Any

from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import ASHAScheduler, async_hyperband

from workers.search.tuning import TIME
from workers.specs.search import Trial, look_every_steps, most_steps, trial_steps
from workers.specs.stages import SearchSpec


class StepBudget:
    """Up to which step each trial may run, so that all of them together stay within a share of full trials' steps."""

    def __init__(self, trials: int, steps: int, first_rung: int, max_share: float) -> None:
        self.steps = steps
        self.first_rung = first_rung
        self._trials = trials
        self._most = most_steps(trials, steps, first_rung, max_share)
        self._granted: dict[str, int] = {}

    def grant(self, trial_id: str, step: int) -> bool:
        """Whether the trial may run up to that step; what was granted before stays. The first one always may."""
        granted = self._granted.get(trial_id, self.first_rung)
        others = sum(self._granted.values()) - self._granted.get(trial_id, 0)
        unbegun = self._trials - len(self._granted.keys() | {trial_id})
        affordable = others + unbegun * self.first_rung + step <= self._most
        if affordable or step <= granted:
            self._granted[trial_id] = max(granted, step)
        return trial_id in self._granted and step <= self._granted[trial_id]

    def stopped(self, trial_id: str, step: int) -> None:
        """The trial runs no further."""
        self._granted[trial_id] = step


class _Bracket(async_hyperband._Bracket):
    """Ray's rungs with the paper's cut: of n trials at a rung, the newest included, the best n // factor go on.

    Ray's own cut is the quantile of the earlier ones, which lets nearly half of the first dozen through.
    """

    def cutoff(self, recorded: Mapping[str, float]) -> float | None:
        if not recorded:
            return None
        going_on = max(1, (len(recorded) + 1) // int(self.rf))
        return sorted(recorded.values(), reverse=True)[going_on - 1]


class _SuccessiveHalving(ASHAScheduler):
    """Ray Tune's, but the first trial, the recipe as it is, always comes to its end: what the others have to beat."""

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
        self._rungs = sorted(milestone for milestone, _ in bracket._rungs)
        self._budget = budget

    def on_trial_result(self, tune_controller: Any, trial: TuneTrial, result: dict[str, Any]) -> str:
        action = str(super().on_trial_result(tune_controller, trial, result))
        step = result[TIME]
        if trial.config.get("number") == 0 and step < self._max_t:
            self._budget.grant(trial.trial_id, self._max_t)
            return self.CONTINUE
        next_rung = min([rung for rung in self._rungs if rung > step], default=self._max_t)
        if action == self.CONTINUE and self._budget.grant(trial.trial_id, next_rung):
            return self.CONTINUE
        self._budget.stopped(trial.trial_id, step)
        return self.STOP


def scheduler(spec: SearchSpec, metric: str, ended: Sequence[Trial]) -> ASHAScheduler | None:
    """Ray Tune's ASHA for the search's trials, told of those that ended in an earlier attempt; None without any.

    Rungs lie at first_rung x reduction_factor^k of a trial's steps (Li et al. 2018).
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
        halving.on_trial_add(None, remembered)
        for point in trial.curve:
            halving.on_trial_result(None, remembered, {TIME: point.step, metric: point.objective})
        halving.on_trial_remove(None, remembered)
    return halving
