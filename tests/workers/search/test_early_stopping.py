"""Early stopping without Ray: which trials stop, how many steps a search may take, how a later attempt continues."""

import tempfile
from pathlib import Path
from typing import cast

from hypothesis import given, settings
from hypothesis import strategies as st
from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial as TuneTrial

from tests.support.made_searches import book_of, play, search_spec
from workers.runtime.trials_file import read_trials
from workers.search.early_stopping import StepBudget, scheduler
from workers.specs.search import EarlyStopping

NO_CONTROLLER = cast(TuneController, None)
"""A controller for the scheduler, which only needs trials from it. The trials are stubs."""


def test_early_stopping_stops_the_worse_but_never_the_recipe_itself(tmp_path: Path) -> None:
    halving = scheduler(search_spec(tmp_path), "validation_top1", [])
    verdicts = {}
    for number, accuracy in enumerate([0.2, 0.9, 0.3, 0.95]):
        trial = TuneTrial("trial", stub=True, trial_id=f"t{number}", config={"number": number})
        halving.on_trial_add(NO_CONTROLLER, trial)
        verdicts[number] = halving.on_trial_result(NO_CONTROLLER, trial, {"step": 10, "validation_top1": accuracy})
    assert verdicts == {0: "CONTINUE", 1: "CONTINUE", 2: "STOP", 3: "CONTINUE"}


@given(st.lists(st.floats(0, 1), min_size=16, max_size=16, unique=True), st.sampled_from([2, 3, 4]))
@settings(max_examples=60, deadline=None)
def test_a_trial_goes_on_only_where_it_is_among_the_best_nth_so_far(accuracies: list[float], factor: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        # There are enough steps for all trials, because an exhausted budget would stop good trials too.
        stopping = EarlyStopping(reduction_factor=factor, max_steps_share=1.0)
        spec = search_spec(Path(folder), trials=17, early_stopping=stopping)
    halving = scheduler(spec, "validation_top1", [])
    for number, accuracy in enumerate(accuracies, start=1):
        trial = TuneTrial("trial", stub=True, trial_id=f"t{number}", config={"number": number})
        halving.on_trial_add(NO_CONTROLLER, trial)
        verdict = halving.on_trial_result(NO_CONTROLLER, trial, {"step": 10, "validation_top1": accuracy})
        rank = sum(accuracy < other for other in accuracies[:number])
        assert (verdict == "CONTINUE") == (rank < max(1, number // factor))


@given(st.permutations(range(16)))
@settings(max_examples=40, deadline=None)
def test_a_search_never_takes_more_than_its_share_of_the_steps_though_each_trial_beats_the_last(
    order: list[int],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        halving = scheduler(search_spec(Path(folder), trials=16), "validation_top1", [])
    taken = 0
    for number, place in enumerate(order if order[0] % 2 else range(16)):
        trial = TuneTrial("trial", stub=True, trial_id=f"t{number}", config={"number": number})
        halving.on_trial_add(NO_CONTROLLER, trial)
        for step in range(10, 100, 10):
            taken += 10
            verdict = halving.on_trial_result(
                NO_CONTROLLER, trial, {"step": step, "validation_top1": place / 16 + step / 1e4}
            )
            if verdict == "STOP":
                break
        assert number > 0 or step == 90
    assert taken <= 0.45 * 16 * 90


def test_a_small_search_may_finish_two_trials_beside_the_recipe() -> None:
    budget = StepBudget(trials=4, steps=90, first_rung=10, max_share=0.45)
    assert budget.grant("recipe", 90)
    assert budget.grant("second", 90)
    assert budget.grant("third", 90)
    assert not budget.grant("fourth", 90)
    assert budget.grant("fourth", 10)


def test_early_stopping_remembers_the_trials_of_an_earlier_attempt(tmp_path: Path) -> None:
    spec = search_spec(tmp_path)
    play(book_of(spec), {number: [0.8] * 9 for number in range(4)})
    ended = list(read_trials(spec.folder_uri).values())
    halving = scheduler(spec, "validation_top1", ended)
    trial = TuneTrial("trial", stub=True, trial_id="new", config={"number": 9})
    halving.on_trial_add(NO_CONTROLLER, trial)
    assert halving.on_trial_result(NO_CONTROLLER, trial, {"step": 10, "validation_top1": 0.7}) == "STOP"


def test_without_early_stopping_there_is_no_scheduler(tmp_path: Path) -> None:
    assert scheduler(search_spec(tmp_path, early_stopping=None), "validation_top1", []) is None


def test_a_single_rung_needs_no_early_stopping(tmp_path: Path) -> None:
    spec = search_spec(tmp_path, steps_fraction=0.001, early_stopping=EarlyStopping(first_rung=0.9))
    assert scheduler(spec, "validation_top1", []) is None
