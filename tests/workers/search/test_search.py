"""The search without Ray: the space, the sampler and the trial book."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.made_searches import COSTS, MODELS, RECIPE, SPACE, book_of, play, search_spec
from workers.runtime.stage_reporter import Superseded
from workers.runtime.trials_file import read_trials
from workers.search.model_cost import within_limits
from workers.search.outcome import search_outcome
from workers.search.sampler import Sampler
from workers.search.space import (
    default_parameters,
    distributions,
    draw_of,
    drawn_parameters,
    full_recipe,
    trial_recipe,
)
from workers.specs.initialization import InitialWeights, PreparedWeights
from workers.specs.noise import Noise, RandAugment
from workers.specs.search import IntRange, SearchSettings, SearchSpace, TrialParameters
from workers.specs.stages import control_name

WEIGHTS = InitialWeights(
    kind="pretrained", source="hf-hub:timm/large", digest=None, tensors_taken=3, tensors_left=0, tensors_new=1
)


@given(st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_every_draw_is_a_recipe_within_the_space_and_can_be_told_from_it(seed: int) -> None:
    space = distributions(SPACE, MODELS)
    default = default_parameters("small", RECIPE)
    point = drawn_parameters(Sampler(space, seed).draw(1), default, MODELS)
    recipe = full_recipe(RECIPE, point)
    assert recipe.noise.rand_augment.n in (1, 2, 3)
    assert recipe.noise.rand_augment.m in range(0, 29, 4)
    assert 0 <= recipe.noise.drop_path <= 0.3
    assert recipe.noise.dropout == 0.3
    draw = draw_of(point, MODELS, space)
    assert draw is not None
    assert drawn_parameters(draw, default, MODELS) == point


def test_the_recipe_itself_may_lie_outside_of_the_space() -> None:
    assert draw_of(default_parameters("small", RECIPE), MODELS, distributions(SPACE, MODELS)) is None


def test_a_trial_is_the_train_stages_recipe_on_a_budget() -> None:
    recipe = trial_recipe(RECIPE, default_parameters("small", RECIPE), SearchSettings(steps_fraction=0.25))
    assert (recipe.steps, recipe.schedule.warmup_steps, recipe.validate_every_steps) == (90, 10, 10)
    assert recipe.noise == RECIPE.noise
    assert recipe.checkpoint_every_steps >= recipe.steps


def test_searching_only_m_of_a_recipe_without_rand_augment_turns_it_on() -> None:
    plain = RECIPE.model_copy(update={"noise": Noise(rand_augment=None)})
    point = drawn_parameters({"rand_augment_m": 8}, default_parameters("small", plain), MODELS)
    assert (point.rand_augment_n, point.rand_augment_m) == (2, 8)


def test_the_magnitude_that_is_searched_is_on_the_recipes_scale() -> None:
    augment = RandAugment(scale="authors", n=2, m=27, m_std=0.5, probability=0.75)
    recipe = RECIPE.model_copy(update={"noise": Noise(rand_augment=augment)})
    default = default_parameters("small", recipe)
    assert (default.rand_augment_m, default.rand_augment_scale) == (27, "authors")
    assert full_recipe(recipe, default).noise.rand_augment == augment
    point = drawn_parameters({"rand_augment_m": 40}, default, MODELS)
    assert full_recipe(recipe, point).noise.rand_augment == augment.model_copy(update={"m": 40})


def test_trials_of_before_there_were_scales_are_on_torchvisions() -> None:
    stored = default_parameters("small", RECIPE).model_dump(exclude={"rand_augment_scale"})
    assert TrialParameters.model_validate(stored).rand_augment_scale == "torchvision"


def test_each_model_is_tried_and_trained_as_its_own_weights_ask(tmp_path: Path) -> None:
    spec = search_spec(tmp_path)
    prepared = PreparedWeights(uri="/large", weights=WEIGHTS)
    own = spec.base.recipe.model_copy(update={"mean": (0.5, 0.5, 0.5)})
    large = spec.base.model_copy(update={"model": "large", "recipe": own, "prepared": prepared})
    book = book_of(spec, bases={"large": large})
    trials = [book.propose() for _ in range(spec.settings.trials)]
    seen = {trial.spec.model: (trial.spec.recipe.mean, trial.spec.prepared) for trial in trials if trial is not None}
    assert seen["small"] == (RECIPE.mean, None)
    assert seen["large"] == ((0.5, 0.5, 0.5), prepared)
    for trial in trials:
        assert trial is not None
        book.started(trial.number)
        top1 = 0.9 if trial.spec.model == "large" else 0.1
        book.reported(trial.number, 90, {"validation_top1": top1})
        book.ended_with(trial.number, None)
    outcome = search_outcome(spec, book.ended, (), {"large": large})
    assert (outcome.model, outcome.recipe.mean) == ("large", (0.5, 0.5, 0.5))


def test_the_first_trial_is_the_recipe_as_it_is(tmp_path: Path) -> None:
    book = book_of(search_spec(tmp_path))
    first = book.propose()
    assert first.number == 0
    assert first.spec.model == "small"
    assert first.spec.recipe.noise == RECIPE.noise
    assert first.spec.workers.num_workers == 1
    assert first.spec.workers.gpus_per_worker == 1.0
    assert first.spec.pseudo_labels.fraction == 0.5
    assert first.spec.folder_uri == f"{tmp_path}/trials/0000"


def test_all_trials_are_given_out_once_and_written_down(tmp_path: Path) -> None:
    spec = search_spec(tmp_path)
    assert play(book_of(spec), {1: [0.6] * 9, 2: [0.4]}) == [0, 1, 2, 3]
    trials = read_trials(spec.folder_uri)
    assert [trials[n].state for n in range(4)] == ["finished", "finished", "pruned", "finished"]
    assert [trials[n].steps for n in range(4)] == [90, 90, 10, 90]
    assert '"done":4' in (tmp_path / "progress.json").read_text()


def test_a_resumed_search_keeps_what_ended_and_begins_the_interrupted_again(tmp_path: Path) -> None:
    book = book_of(search_spec(tmp_path))
    for _ in range(3):
        training = book.propose()
        book.started(training.number)
        book.reported(training.number, 10, {"validation_top1": 0.5})
    book.ended_with(1, None)
    interrupted = {
        number: trial for number, trial in read_trials(search_spec(tmp_path).folder_uri).items() if number != 1
    }

    again = book_of(search_spec(tmp_path, attempt=2))
    assert [trial.number for trial in again.ended] == [1]
    proposed = [again.propose() for _ in range(4)]
    assert [training and training.number for training in proposed] == [0, 2, 3, None]
    assert all(training.spec.attempt == 2 for training in proposed[:3])
    for training in proposed[:2]:
        augment = training.spec.recipe.noise.rand_augment
        parameters = interrupted[training.number].parameters
        assert (augment.n, augment.m) == (parameters.rand_augment_n, parameters.rand_augment_m)


def test_a_trial_that_fails_is_reported_and_the_others_go_on(tmp_path: Path) -> None:
    spec = search_spec(tmp_path)
    book = book_of(spec)
    failed = book.propose()
    book.started(failed.number)
    book.ended_with(failed.number, "OutOfMemoryError: too large")
    play(book, {})
    trials = read_trials(spec.folder_uri)
    assert (trials[0].state, trials[0].message) == ("failed", "OutOfMemoryError: too large")
    assert [trials[n].state for n in (1, 2, 3)] == ["finished"] * 3


def test_a_superseded_search_writes_nothing_more(tmp_path: Path) -> None:
    book = book_of(search_spec(tmp_path))
    search_spec(tmp_path, attempt=2)
    with pytest.raises(Superseded):
        book.propose()


def test_the_objective_may_be_accuracy_under_corruption(tmp_path: Path) -> None:
    book = book_of(search_spec(tmp_path, objective="corrupted_accuracy"))
    training = book.propose()
    assert training.spec.validate_corrupted
    book.reported(0, 10, {"validation_top1": 0.9, "validation_corrupted_top1": 0.4})
    assert read_trials(search_spec(tmp_path).folder_uri)[0].objective == 0.4


def test_models_beyond_a_limit_are_left_out_with_the_reason() -> None:
    allowed, excluded = within_limits(COSTS, SearchSettings(space=SPACE, max_parameters=10_000))
    assert list(allowed) == ["small", "medium"]
    assert [(each.model, each.reason) for each in excluded] == [("large", "max_parameters allows 10,000")]


def test_no_point_is_tried_twice_until_the_space_is_full(tmp_path: Path) -> None:
    space = SearchSpace(rand_augment_n=IntRange(low=1, high=2), rand_augment_m=IntRange(low=3, high=9, step=3))
    spec = search_spec(tmp_path, space=space, trials=7)
    play(book_of(spec, {"small": COSTS["small"]}), {number: [0.9 if number == 3 else 0.1] * 9 for number in range(7)})
    tried = [each.parameters for each in read_trials(spec.folder_uri).values()]
    assert len(tried) == 7
    assert len(set(tried)) == 6


def test_a_search_that_is_to_pause_begins_no_further_trial(tmp_path: Path) -> None:
    spec = search_spec(tmp_path)
    (tmp_path / control_name(1)).write_text('{"command": "pause"}')

    assert book_of(spec).propose() is None
    assert book_of(search_spec(tmp_path, attempt=2)).propose() is not None
