"""Sums up a search's trials: the winner, the steps that early stopping saved, accuracy against cost. Pure."""

from collections.abc import Mapping, Sequence

from workers.runtime.stage_reporter import StageError
from workers.search.space import full_recipe
from workers.specs.reports import FailureReason
from workers.specs.search import ExcludedModel, SearchOutcome, Trial, trial_steps
from workers.specs.stages import SearchSpec, TrainSpec


def search_outcome(
    spec: SearchSpec,
    trials: Sequence[Trial],
    excluded: tuple[ExcludedModel, ...],
    bases: Mapping[str, TrainSpec] = {},
) -> SearchOutcome:
    """The outcome of a search. `bases` has the full trainings of models that are not trained as the base's is.

    Raises StageError(STAGE_ERROR) if no trial has a result."""
    finished = _came_furthest(trials)
    if not finished:
        messages = [trial.message for trial in trials if trial.message]
        why = f": {messages[0]}" if messages else ""
        raise StageError(FailureReason.STAGE_ERROR, f"none of {len(trials)} trials came to its end{why}")
    best = best_trial(finished)
    return SearchOutcome(
        trials=tuple(trials),
        best_trial=best.number,
        model=best.parameters.model,
        recipe=full_recipe(bases.get(best.parameters.model, spec.base).recipe, best.parameters),
        steps_run=sum(trial.steps for trial in trials),
        steps_of_full_trials=len(trials) * trial_steps(spec.base.recipe, spec.settings),
        pareto_front=pareto_front(finished),
        excluded_models=excluded,
    )


def _came_furthest(trials: Sequence[Trial]) -> list[Trial]:
    """The trials that ran to their end; if none did, those with the most steps."""
    judged = [trial for trial in trials if trial.state in ("finished", "pruned") and trial.objective is not None]
    furthest = max((trial.steps for trial in judged), default=0)
    return [trial for trial in judged if trial.state == "finished"] or [t for t in judged if t.steps == furthest]


def best_trial(finished: Sequence[Trial]) -> Trial:
    """The trial with the highest objective; among equals the cheapest, and then the first."""
    return min(finished, key=lambda trial: (-(trial.objective or 0.0), trial.multiply_adds, trial.number))


def pareto_front(finished: Sequence[Trial]) -> tuple[int, ...]:
    """The numbers of the trials that no other beats in both objective and multiply-adds, cheapest first."""
    front: list[Trial] = []
    for trial in sorted(finished, key=lambda each: (each.multiply_adds, -(each.objective or 0.0), each.number)):
        if not front or (trial.objective or 0.0) > (front[-1].objective or 0.0):
            front.append(trial)
    return tuple(trial.number for trial in front)
