"""The search without Ray: space, sampler, the book of trials, early stopping, and what comes out."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ray.tune.experiment import Trial as TuneTrial

from workers.artifact_io import write_bytes
from workers.search.early_stopping import StepBudget, scheduler
from workers.search.model_cost import ModelCost, within_limits
from workers.search.outcome import pareto_front, search_outcome
from workers.search.pictures import draw_pictures, heat_map
from workers.search.sampler import Sampler
from workers.search.space import (
    default_parameters,
    distributions,
    draw_of,
    drawn_parameters,
    full_recipe,
    trial_recipe,
)
from workers.search.trial_book import TrialBook, read_trials
from workers.specs.recipe import Noise, RandAugment, Recipe, Schedule
from workers.specs.search import (
    EarlyStopping,
    FloatRange,
    IntRange,
    SearchSettings,
    SearchSpace,
    Trial,
    TrialPoint,
)
from workers.specs.stages import PseudoLabels, SearchSpec, TrainSpec, WorkerGroup, control_name, spec_name
from workers.stage_reporter import StageError, StageReporter, Superseded

RECIPE = Recipe(
    steps=360,
    noise=Noise(rand_augment=RandAugment(n=2, m=9), dropout=0.3, drop_path=0.1),
    schedule=Schedule(warmup_steps=40),
)
MODELS = ("small", "medium", "large")
COSTS = {name: ModelCost(parameters=10**n, multiply_adds=10 ** (n + 2)) for n, name in enumerate(MODELS, start=3)}
SPACE = SearchSpace(
    rand_augment_n=IntRange(low=1, high=3),
    rand_augment_m=IntRange(low=0, high=30, step=4),
    models=MODELS,
    drop_path=FloatRange(low=0.0, high=0.3),
)


def search_spec(folder: Path, attempt: int = 1, **changes) -> SearchSpec:
    base = TrainSpec(
        run_id="run-1",
        generation=1,
        attempt=1,
        folder_uri=str(folder / "train"),
        seed=5,
        model="small",
        classes=("a", "b"),
        recipe=RECIPE,
        labeled_manifest_uri="/labeled",
        validation_manifest_uri="/validation",
        pseudo_labels=PseudoLabels(manifest_uri="/m", labels_uri="/l", selection_uri="/s"),
        workers=WorkerGroup(num_workers=8, gpus_per_worker=1.0),
    )
    asked = SearchSettings(space=SPACE, trials=4, steps_fraction=0.25, pool_fraction=0.5).model_copy(update=changes)
    spec = SearchSpec(
        run_id="search-1",
        generation=1,
        attempt=attempt,
        folder_uri=str(folder),
        seed=7,
        base=base,
        settings=asked,
        models=MODELS,
    )
    write_bytes(str(folder / spec_name(attempt)), spec.model_dump_json().encode())
    return spec


def book_of(spec: SearchSpec, costs=COSTS) -> TrialBook:
    reporter = StageReporter(spec, entered_at=0.0, clock=lambda: 1.0)
    reporter.announce(spec.settings.trials, "trials")
    return TrialBook(spec, costs, reporter, clock=lambda: 1.0)


def play(book: TrialBook, accuracies: dict[int, list[float]]) -> list[int]:
    """Runs all trials: looks at steps 10, 20, ... with these accuracies; full trials have 90 steps."""
    numbers = []
    while (training := book.propose()) is not None:
        numbers.append(training.number)
        book.started(training.number)
        for look, accuracy in enumerate(accuracies.get(training.number, [0.5] * 9), start=1):
            book.reported(training.number, 10 * look, {"validation_top1": accuracy})
        book.ended_with(training.number, None)
    return numbers


@given(st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_every_draw_is_a_recipe_within_the_space_and_can_be_told_from_it(seed):
    space = distributions(SPACE, MODELS)
    default = default_parameters("small", RECIPE)
    point = drawn_parameters(Sampler(space, seed).draw(1), default, MODELS)
    recipe = full_recipe(RECIPE, point)
    assert recipe.noise.rand_augment.n in (1, 2, 3)
    assert recipe.noise.rand_augment.m in range(0, 29, 4)
    assert 0 <= recipe.noise.drop_path <= 0.3
    assert recipe.noise.dropout == 0.3
    assert drawn_parameters(draw_of(point, MODELS, space), default, MODELS) == point


def test_the_recipe_itself_may_lie_outside_of_the_space():
    assert draw_of(default_parameters("small", RECIPE), MODELS, distributions(SPACE, MODELS)) is None


def test_a_trial_is_the_train_stages_recipe_on_a_budget():
    recipe = trial_recipe(RECIPE, default_parameters("small", RECIPE), SearchSettings(steps_fraction=0.25))
    assert (recipe.steps, recipe.schedule.warmup_steps, recipe.validate_every_steps) == (90, 10, 10)
    assert recipe.noise == RECIPE.noise
    assert recipe.checkpoint_every_steps >= recipe.steps


def test_searching_only_m_of_a_recipe_without_rand_augment_turns_it_on():
    plain = RECIPE.model_copy(update={"noise": Noise(rand_augment=None)})
    point = drawn_parameters({"rand_augment_m": 8}, default_parameters("small", plain), MODELS)
    assert (point.rand_augment_n, point.rand_augment_m) == (2, 8)


def test_the_first_trial_is_the_recipe_as_it_is(tmp_path):
    book = book_of(search_spec(tmp_path))
    first = book.propose()
    assert first.number == 0
    assert first.spec.model == "small"
    assert first.spec.recipe.noise == RECIPE.noise
    assert first.spec.workers.num_workers == 1
    assert first.spec.workers.gpus_per_worker == 1.0
    assert first.spec.pseudo_labels.fraction == 0.5
    assert first.spec.folder_uri == f"{tmp_path}/trials/0000"


def test_all_trials_are_given_out_once_and_written_down(tmp_path):
    spec = search_spec(tmp_path)
    assert play(book_of(spec), {1: [0.6] * 9, 2: [0.4]}) == [0, 1, 2, 3]
    trials = read_trials(spec)
    assert [trials[n].state for n in range(4)] == ["finished", "finished", "pruned", "finished"]
    assert [trials[n].steps for n in range(4)] == [90, 90, 10, 90]
    assert '"done":4' in (tmp_path / "progress.json").read_text()


def test_a_resumed_search_keeps_what_ended_and_begins_the_interrupted_again(tmp_path):
    book = book_of(search_spec(tmp_path))
    for _ in range(3):
        training = book.propose()
        book.started(training.number)
        book.reported(training.number, 10, {"validation_top1": 0.5})
    book.ended_with(1, None)
    interrupted = {number: trial for number, trial in read_trials(search_spec(tmp_path)).items() if number != 1}

    again = book_of(search_spec(tmp_path, attempt=2))
    assert [trial.number for trial in again.ended] == [1]
    proposed = [again.propose() for _ in range(4)]
    assert [training and training.number for training in proposed] == [0, 2, 3, None]
    assert all(training.spec.attempt == 2 for training in proposed[:3])
    for training in proposed[:2]:
        augment = training.spec.recipe.noise.rand_augment
        parameters = interrupted[training.number].parameters
        assert (augment.n, augment.m) == (parameters.rand_augment_n, parameters.rand_augment_m)


def test_a_trial_that_fails_is_reported_and_the_others_go_on(tmp_path):
    spec = search_spec(tmp_path)
    book = book_of(spec)
    failed = book.propose()
    book.started(failed.number)
    book.ended_with(failed.number, "OutOfMemoryError: too large")
    play(book, {})
    trials = read_trials(spec)
    assert (trials[0].state, trials[0].message) == ("failed", "OutOfMemoryError: too large")
    assert [trials[n].state for n in (1, 2, 3)] == ["finished"] * 3


def test_a_superseded_search_writes_nothing_more(tmp_path):
    book = book_of(search_spec(tmp_path))
    search_spec(tmp_path, attempt=2)
    with pytest.raises(Superseded):
        book.propose()


def test_the_objective_may_be_accuracy_under_corruption(tmp_path):
    book = book_of(search_spec(tmp_path, objective="corrupted_accuracy"))
    training = book.propose()
    assert training.spec.validate_corrupted
    book.reported(0, 10, {"validation_top1": 0.9, "validation_corrupted_top1": 0.4})
    assert read_trials(search_spec(tmp_path))[0].objective == 0.4


def test_models_beyond_a_limit_are_left_out_with_the_reason():
    allowed, excluded = within_limits(COSTS, SearchSettings(space=SPACE, max_parameters=10_000))
    assert list(allowed) == ["small", "medium"]
    assert [(each.model, each.reason) for each in excluded] == [("large", "max_parameters allows 10,000")]


def test_early_stopping_stops_the_worse_but_never_the_recipe_itself(tmp_path):
    halving = scheduler(search_spec(tmp_path), "validation_top1", [])
    verdicts = {}
    for number, accuracy in enumerate([0.2, 0.9, 0.3, 0.95]):
        trial = TuneTrial("trial", stub=True, trial_id=f"t{number}", config={"number": number})
        halving.on_trial_add(None, trial)
        verdicts[number] = halving.on_trial_result(None, trial, {"step": 10, "validation_top1": accuracy})
    assert verdicts == {0: "CONTINUE", 1: "CONTINUE", 2: "STOP", 3: "CONTINUE"}


@given(st.lists(st.floats(0, 1), min_size=16, max_size=16, unique=True), st.sampled_from([2, 3, 4]))
@settings(max_examples=60, deadline=None)
def test_a_trial_goes_on_only_where_it_is_among_the_best_nth_so_far(accuracies, factor):
    with tempfile.TemporaryDirectory() as folder:
        # Steps enough for all of them: a budget that runs out stops good trials too.
        stopping = EarlyStopping(reduction_factor=factor, max_steps_share=1.0)
        spec = search_spec(Path(folder), trials=17, early_stopping=stopping)
    halving = scheduler(spec, "validation_top1", [])
    for number, accuracy in enumerate(accuracies, start=1):
        trial = TuneTrial("trial", stub=True, trial_id=f"t{number}", config={"number": number})
        halving.on_trial_add(None, trial)
        verdict = halving.on_trial_result(None, trial, {"step": 10, "validation_top1": accuracy})
        rank = sum(accuracy < other for other in accuracies[:number])
        assert (verdict == "CONTINUE") == (rank < max(1, number // factor))


@given(st.permutations(range(16)))
@settings(max_examples=40, deadline=None)
def test_a_search_never_takes_more_than_its_share_of_the_steps_though_each_trial_beats_the_last(order):
    with tempfile.TemporaryDirectory() as folder:
        halving = scheduler(search_spec(Path(folder), trials=16), "validation_top1", [])
    taken = 0
    for number, place in enumerate(order if order[0] % 2 else range(16)):
        trial = TuneTrial("trial", stub=True, trial_id=f"t{number}", config={"number": number})
        halving.on_trial_add(None, trial)
        for step in range(10, 100, 10):
            taken += 10
            verdict = halving.on_trial_result(None, trial, {"step": step, "validation_top1": place / 16 + step / 1e4})
            if verdict == "STOP":
                break
        assert number > 0 or step == 90
    assert taken <= 0.45 * 16 * 90


def test_a_small_search_may_finish_two_trials_beside_the_recipe():
    budget = StepBudget(trials=4, steps=90, first_rung=10, max_share=0.45)
    assert budget.grant("recipe", 90)
    assert budget.grant("second", 90)
    assert budget.grant("third", 90)
    assert not budget.grant("fourth", 90)
    assert budget.grant("fourth", 10)


def test_no_point_is_tried_twice_until_the_space_is_full(tmp_path):
    space = SearchSpace(rand_augment_n=IntRange(low=1, high=2), rand_augment_m=IntRange(low=3, high=9, step=3))
    spec = search_spec(tmp_path, space=space, trials=7)
    play(book_of(spec, {"small": COSTS["small"]}), {number: [0.9 if number == 3 else 0.1] * 9 for number in range(7)})
    tried = [each.parameters for each in read_trials(spec).values()]
    assert len(tried) == 7
    assert len(set(tried)) == 6


def test_early_stopping_remembers_the_trials_of_an_earlier_attempt(tmp_path):
    spec = search_spec(tmp_path)
    play(book_of(spec), {number: [0.8] * 9 for number in range(4)})
    ended = list(read_trials(spec).values())
    halving = scheduler(spec, "validation_top1", ended)
    trial = TuneTrial("trial", stub=True, trial_id="new", config={"number": 9})
    halving.on_trial_add(None, trial)
    assert halving.on_trial_result(None, trial, {"step": 10, "validation_top1": 0.7}) == "STOP"


def test_without_early_stopping_there_is_no_scheduler(tmp_path):
    assert scheduler(search_spec(tmp_path, early_stopping=None), "validation_top1", []) is None


def trial(number: int, objective: float, model: str = "small", state: str = "finished", **point) -> Trial:
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


def test_the_winner_is_the_best_finished_trial_and_of_equals_the_cheapest(tmp_path):
    trials = [trial(0, 0.8, "large"), trial(1, 0.9, "large"), trial(2, 0.9, "medium"), trial(3, 0.99, state="pruned")]
    outcome = search_outcome(search_spec(tmp_path), trials, ())
    assert (outcome.best_trial, outcome.model) == (2, "medium")
    assert (outcome.steps_run, outcome.steps_of_full_trials) == (3 * 90 + 10, 4 * 90)
    assert outcome.recipe.steps == RECIPE.steps


def test_where_no_trial_came_to_its_end_the_furthest_count(tmp_path):
    outcome = search_outcome(search_spec(tmp_path), [trial(0, 0.5, state="pruned"), trial(1, 0.6, state="pruned")], ())
    assert outcome.best_trial == 1


def test_a_search_whose_trials_all_failed_says_why(tmp_path):
    broken = trial(0, 0.5).model_copy(update={"state": "failed", "curve": (), "message": "no space left"})
    with pytest.raises(StageError, match="none of 1 trials came to its end: no space left"):
        search_outcome(search_spec(tmp_path), [broken], ())


@given(st.lists(st.tuples(st.sampled_from(MODELS), st.floats(0, 1)), min_size=1, max_size=20))
def test_the_pareto_front_is_what_nothing_beats(points):
    trials = [trial(number, objective, model) for number, (model, objective) in enumerate(points)]
    front = pareto_front(trials)

    def beaten(one: Trial) -> bool:
        return any(
            (o.objective >= one.objective and o.multiply_adds < one.multiply_adds)
            or (o.objective > one.objective and o.multiply_adds <= one.multiply_adds)
            for o in trials
        )

    assert {(trials[n].objective, trials[n].multiply_adds) for n in front} == {
        (each.objective, each.multiply_adds) for each in trials if not beaten(each)
    }


def test_pictures_of_the_space_are_drawn(tmp_path):
    trials = (trial(0, 0.8), trial(1, 0.9, "medium", rand_augment_n=1, rand_augment_m=4), trial(2, 0.7))
    rows, columns, best = heat_map(trials)
    assert (rows, columns) == ([1, 2], [4, 9])
    assert best[1, 1] == 0.8
    assert np.isnan(best[0, 1])
    spec = search_spec(tmp_path)
    draw_pictures(spec, search_outcome(spec, trials, ()))
    assert "<svg" in (tmp_path / "rand_augment.svg").read_text()
    assert "<svg" in (tmp_path / "accuracy_by_cost.svg").read_text()


def test_a_single_rung_needs_no_early_stopping(tmp_path):
    spec = search_spec(tmp_path, steps_fraction=0.001, early_stopping=EarlyStopping(first_rung=0.9))
    assert scheduler(spec, "validation_top1", []) is None


def test_a_search_that_is_to_pause_begins_no_further_trial(tmp_path):
    spec = search_spec(tmp_path)
    (tmp_path / control_name(1)).write_text('{"command": "pause"}')

    assert book_of(spec).propose() is None
    assert book_of(search_spec(tmp_path, attempt=2)).propose() is not None
