"""The outcome of a search: the winner, the Pareto front, and pictures of the space."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.made_searches import COSTS, MODELS, RECIPE, search_spec
from workers.runtime.stage_reporter import StageError
from workers.search.outcome import pareto_front, search_outcome
from workers.search.pictures import draw_pictures, heat_map
from workers.search.space import default_parameters
from workers.specs.search import Trial, TrialPoint, TrialState


def trial(
    number: int, objective: float, model: str = "small", state: TrialState = "finished", **point: object
) -> Trial:
    parameters = default_parameters(model, RECIPE).model_copy(update=point)
    steps = 90 if state == "finished" else 10
    return Trial(
        number=number,
        state=state,
        parameters=parameters,
        curve=(TrialPoint(step=steps, objective=objective, validation_top1=objective),),
        model_parameters=COSTS[model].parameters,
        multiply_adds=COSTS[model].multiply_adds,
        steps=steps,
    )


def test_the_winner_is_the_best_finished_trial_and_of_equals_the_cheapest(tmp_path: Path) -> None:
    trials = [trial(0, 0.8, "large"), trial(1, 0.9, "large"), trial(2, 0.9, "medium"), trial(3, 0.99, state="pruned")]
    outcome = search_outcome(search_spec(tmp_path), trials, ())
    assert (outcome.best_trial, outcome.model) == (2, "medium")
    assert (outcome.steps_run, outcome.steps_of_full_trials) == (3 * 90 + 10, 4 * 90)
    assert outcome.recipe.steps == RECIPE.steps


def test_where_no_trial_came_to_its_end_the_furthest_count(tmp_path: Path) -> None:
    outcome = search_outcome(search_spec(tmp_path), [trial(0, 0.5, state="pruned"), trial(1, 0.6, state="pruned")], ())
    assert outcome.best_trial == 1


def test_a_search_whose_trials_all_failed_says_why(tmp_path: Path) -> None:
    broken = trial(0, 0.5).model_copy(update={"state": "failed", "curve": (), "message": "no space left"})
    with pytest.raises(StageError, match="none of 1 trials came to its end: no space left"):
        search_outcome(search_spec(tmp_path), [broken], ())


def objective(one: Trial) -> float:
    assert one.objective is not None
    return one.objective


@given(st.lists(st.tuples(st.sampled_from(MODELS), st.floats(0, 1)), min_size=1, max_size=20))
def test_the_pareto_front_is_what_nothing_beats(points: list[tuple[str, float]]) -> None:
    trials = [trial(number, reached, model) for number, (model, reached) in enumerate(points)]
    front = pareto_front(trials)

    def beaten(one: Trial) -> bool:
        return any(
            (objective(o) >= objective(one) and o.multiply_adds < one.multiply_adds)
            or (objective(o) > objective(one) and o.multiply_adds <= one.multiply_adds)
            for o in trials
        )

    assert {(trials[n].objective, trials[n].multiply_adds) for n in front} == {
        (each.objective, each.multiply_adds) for each in trials if not beaten(each)
    }


def test_pictures_of_the_space_are_drawn(tmp_path: Path) -> None:
    trials = (trial(0, 0.8), trial(1, 0.9, "medium", rand_augment_n=1, rand_augment_m=4), trial(2, 0.7))
    rows, columns, best = heat_map(trials)
    assert (rows, columns) == ([1, 2], [4, 9])
    assert best[1, 1] == 0.8
    assert np.isnan(best[0, 1])
    spec = search_spec(tmp_path)
    draw_pictures(spec, search_outcome(spec, trials, ()))
    assert "<svg" in (tmp_path / "rand_augment.svg").read_text()
    assert "<svg" in (tmp_path / "accuracy_by_cost.svg").read_text()
