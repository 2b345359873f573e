"""When the workers of a training agree on what follows a step, and what a wish for a checkpoint leads to."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.support.fake_clock import FakeClock
from tests.workers.training.conftest import MemorySession, TrainHere
from workers.specs.recipe import Recipe
from workers.training.agreement import AfterStep, Agreement


class OneOfTwo(MemorySession):
    """A worker beside another one, whose wish and milliseconds a step are given."""

    def __init__(self, others: Sequence[int] = (AfterStep.GO_ON, 0)) -> None:
        super().__init__()
        self.others = others

    def highest(self, values: Sequence[int]) -> list[int]:
        return [max(pair) for pair in zip(values, self.others, strict=True)]


def go_on() -> AfterStep:
    return AfterStep.GO_ON


def steps_at_which_it_asks(session: OneOfTwo, seconds_a_step: float, steps: int = 22) -> list[int]:
    clock, asked = FakeClock(), []
    agreement = Agreement(session, 0, clock)
    for done in range(1, steps + 1):
        clock.advance(seconds_a_step)

        def wish(done: int = done) -> AfterStep:
            asked.append(done)
            return AfterStep.GO_ON

        agreement.after(done, wish)
    return asked


def test_workers_ask_one_another_every_fifth_step() -> None:
    assert steps_at_which_it_asks(OneOfTwo(), 0.01) == [5, 10, 15, 20]


def test_they_ask_more_often_if_steps_are_slow_because_a_node_may_have_half_a_minute() -> None:
    assert steps_at_which_it_asks(OneOfTwo(), 0.9, steps=11) == [5, 6, 8, 10]
    assert steps_at_which_it_asks(OneOfTwo(), 10.0, steps=8) == [5, 6, 7, 8]


def test_the_slowest_worker_decides_when_all_ask_again() -> None:
    assert steps_at_which_it_asks(OneOfTwo((AfterStep.GO_ON, 900)), 0.01, steps=11) == [5, 6, 8, 10]


@pytest.mark.parametrize(
    ("own", "other", "agreed"),
    [
        (AfterStep.GO_ON, AfterStep.GO_ON, AfterStep.GO_ON),
        (AfterStep.GO_ON, AfterStep.CHECKPOINT, AfterStep.CHECKPOINT),
        (AfterStep.CHECKPOINT, AfterStep.GO_ON, AfterStep.CHECKPOINT),
        (AfterStep.PAUSE, AfterStep.CHECKPOINT, AfterStep.PAUSE),
    ],
)
def test_the_highest_wish_of_any_worker_counts(own: AfterStep, other: AfterStep, agreed: AfterStep) -> None:
    assert Agreement(OneOfTwo((other, 0)), 0, FakeClock()).after(5, lambda: own) is agreed


class Wishing(MemorySession):
    """A lone worker that learns, each time before it is asked, whether a checkpoint is wished."""

    def __init__(self, wished: Callable[[int], bool]) -> None:
        super().__init__()
        self._wished = wished
        self.asked = 0

    def checkpoint_wished(self) -> bool:
        self.asked += 1
        return self._wished(self.asked)


def test_training_takes_a_checkpoint_when_it_is_wished_and_goes_on(train_here: TrainHere, small_recipe: Recipe) -> None:
    rare = small_recipe.model_copy(update={"checkpoint_every_steps": 1000, "steps": 14})

    folder, session = train_here(recipe=rare, session=Wishing(lambda asked: asked == 2))

    assert len(session.states) == 1
    assert session.states[0]["step"] in range(6, 11), "the second time that the workers ask"
    assert (folder / "model.safetensors").exists()


def test_a_training_that_goes_on_from_a_wished_checkpoint_ends_with_the_same_weights(
    train_here: TrainHere, small_recipe: Recipe
) -> None:
    calm = small_recipe.model_copy(
        update={
            "checkpoint_every_steps": 1000,
            "steps": 14,
            "noise": small_recipe.noise.model_copy(update={"dropout": 0.0, "drop_path": 0.0}),
        }
    )
    whole, interrupted = train_here("whole", recipe=calm, session=Wishing(lambda asked: asked == 2))
    goes_on, _ = train_here("goes-on", recipe=calm, session=MemorySession(interrupted.states[0]))

    assert weights_of(goes_on) == weights_of(whole)


def weights_of(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()
