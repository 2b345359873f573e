"""Samples the search's space with Optuna, which learns from the trials that have ended."""

import warnings

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import Trial as OptunaTrial
from optuna.trial import TrialState as OptunaState

from workers.search.space import Draw
from workers.specs.search import Trial

_RANDOM_DRAWS = 5
"""How many points are drawn at random before the estimator learns from their results."""
_STATES = {"finished": OptunaState.COMPLETE, "pruned": OptunaState.PRUNED, "failed": OptunaState.FAIL}


class Sampler:
    """A tree-structured Parzen estimator for one objective (Bergstra et al. 2011; optuna.samplers.TPESampler)."""

    def __init__(self, space: dict[str, BaseDistribution], seed: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = optuna.samplers.TPESampler(
                seed=seed, n_startup_trials=_RANDOM_DRAWS, multivariate=True, constant_liar=True
            )
        self._study = optuna.create_study(direction="maximize", sampler=sampler)
        self._space = space
        self._asked: dict[int, OptunaTrial] = {}

    def draw(self, number: int) -> Draw:
        """Draws a point for trial `number`. It replaces an earlier point that was drawn for the same trial."""
        refused = self._asked.pop(number, None)
        if refused is not None:
            self._study.tell(refused, state=OptunaState.FAIL)
        asked = self._study.ask(self._space)
        self._asked[number] = asked
        return dict(asked.params)

    def teach(self, trial: Trial, draw: Draw) -> None:
        """Adds the result of a trial that has ended. It may have been drawn here or in an earlier attempt."""
        asked = self._asked.pop(trial.number, None)
        seen = {point.step: point.objective for point in trial.curve}
        state = _STATES[trial.state] if seen else OptunaState.FAIL
        value = trial.objective if state is OptunaState.COMPLETE else None
        if asked is None:
            remembered = optuna.trial.create_trial(
                state=state, value=value, params=draw, distributions=self._space, intermediate_values=seen
            )
            self._study.add_trial(remembered)
            return
        for step, objective in seen.items():
            asked.report(objective, step)
        self._study.tell(asked, value, state=state)
