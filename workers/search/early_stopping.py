"""Asynchronous successive halving that remembers: a resumed search compares with the trials that had ended before."""

from collections.abc import Mapping, Sequence
from typing import Any

from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import ASHAScheduler, async_hyperband

from workers.search.space import look_every_steps, trial_steps
from workers.search.tuning import TIME
from workers.specs.search import Trial
from workers.specs.stages import SearchSpec


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

    def __init__(self, metric: str, first_rung: int, steps: int, reduction_factor: int) -> None:
        super().__init__(
            time_attr=TIME,
            metric=metric,
            mode="max",
            max_t=steps,
            grace_period=first_rung,
            reduction_factor=reduction_factor,
        )
        self._brackets = [_Bracket(first_rung, steps, reduction_factor, 0)]

    def on_trial_result(self, tune_controller: Any, trial: TuneTrial, result: dict[str, Any]) -> str:
        action = str(super().on_trial_result(tune_controller, trial, result))
        is_default = trial.config.get("number") == 0
        return self.CONTINUE if is_default and result[TIME] < self._max_t else action


def scheduler(spec: SearchSpec, metric: str, ended: Sequence[Trial]) -> ASHAScheduler | None:
    """Ray Tune's ASHA for the search's trials, told of those that ended in an earlier attempt; None without any.

    Rungs lie at first_rung x reduction_factor^k of a trial's steps (Li et al. 2018).
    """
    stopping = spec.settings.early_stopping
    steps = trial_steps(spec.base.recipe, spec.settings)
    first = look_every_steps(steps, spec.settings)
    if stopping is None or first >= steps:
        return None
    halving = _SuccessiveHalving(metric, first, steps, stopping.reduction_factor)
    for trial in ended:
        remembered = TuneTrial("remembered", stub=True, trial_id=f"remembered-{trial.number}")
        halving.on_trial_add(None, remembered)
        for point in trial.curve:
            halving.on_trial_result(None, remembered, {TIME: point.step, metric: point.objective})
        halving.on_trial_remove(None, remembered)
    return halving
