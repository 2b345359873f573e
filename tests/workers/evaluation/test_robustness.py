"""The robustness measurements: their units of work, their figures, and a real model under all of them."""

from collections import Counter

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from tests.support.made_manifests import manifest
from workers.evaluation import robustness_sums as sums
from workers.evaluation.attacks import fgsm, pgd
from workers.evaluation.external_classes import class_indices
from workers.evaluation.work_items import work_items
from workers.runtime.stage_reporter import StageError
from workers.specs.evaluation import ExternalSet
from workers.specs.robustness import (
    AdversarialSettings,
    CorruptionSettings,
    RobustnessSettings,
    StabilitySettings,
)

SETTINGS = RobustnessSettings(
    corruptions=CorruptionSettings(kinds=("fog", "snow"), severities=(1, 3), sample=50),
    stability=StabilitySettings(kinds=("rotate",), frames=5, sample=20),
    adversarial=AdversarialSettings(epsilons=(8.0,), sample=10),
)


def test_the_work_is_all_shards_of_all_sets_and_the_sampled_rows_of_the_test_set() -> None:
    items = work_items([manifest(100, 100), manifest(10, dataset_id="ds-2")], SETTINGS)
    assert [(i.dataset, i.shard) for i in items if i.kind == "judge"] == [(0, 0), (0, 1), (1, 0)]
    sampled = {kind: sum(len(i.rows) for i in items if i.kind == kind) for kind in ("corruptions", "stability")}
    assert sampled == {"corruptions": 50, "stability": 20}
    assert sum(len(i.rows) for i in items if i.kind == "adversarial") == 10
    assert [i.kind for i in work_items([manifest(5)], None)] == ["judge"]


def test_validation_images_are_corrupted_if_the_gate_asks_for_it() -> None:
    gated = SETTINGS.model_copy(update={"stability": None, "adversarial": None})
    items = work_items([manifest(100), manifest(80, dataset_id="ds-2")], None, (1, gated))
    assert {(i.kind, i.dataset) for i in items} == {("judge", 0), ("judge", 1), ("corruptions", 1)}
    assert sum(len(i.rows) for i in items if i.kind == "corruptions") == 50


def counts(fog: tuple[int, int], snow: tuple[int, int], rotate: int) -> Counter[str]:
    return Counter(
        {
            sums.CORRUPTION_IMAGES: 50,
            sums.CLEAN_ERRORS: 5,
            **{sums.corruption_key("fog", s): n for s, n in zip((1, 3), fog, strict=True)},
            **{sums.corruption_key("snow", s): n for s, n in zip((1, 3), snow, strict=True)},
            sums.SEQUENCES: 20,
            sums.flips_key("rotate"): rotate,
            sums.ADVERSARIAL_IMAGES: 10,
            sums.CLEAN_CORRECT: 9,
            sums.attack_key("fgsm", 8.0): 5,
            sums.attack_key("pgd", 8.0): 3,
        }
    )


def test_mean_corruption_error_and_flip_rate_are_relative_to_the_reference() -> None:
    reference = sums.robustness_result(counts((10, 10), (20, 20), 16), SETTINGS, "run-1-g0", None)
    assert reference.corruptions.mean_corruption_error == 100
    assert reference.stability.mean_flip_rate == 100
    assert reference.stability.flip_rates == {"rotate": 16 / 80}
    assert [(a.attack, a.top1) for a in reference.adversarial.attacks] == [("fgsm", 0.5), ("pgd", 0.3)]

    student = sums.robustness_result(counts((5, 5), (20, 10), 4), SETTINGS, "run-1-g0", reference)
    assert student.corruptions.mean_corruption_error == pytest.approx((50 + 75) / 2)
    assert student.corruptions.errors == {"fog": (0.1, 0.1), "snow": (0.4, 0.2)}
    assert student.corruptions.clean_error == 0.1
    assert student.stability.mean_flip_rate == pytest.approx(25)
    assert student.reference == "run-1-g0"


def test_a_reference_without_errors_counts_as_having_made_one() -> None:
    perfect = sums.robustness_result(counts((0, 0), (0, 0), 0), SETTINGS, "g0", None)
    student = sums.robustness_result(counts((1, 0), (0, 0), 0), SETTINGS, "g0", perfect)
    assert student.corruptions.mean_corruption_error == pytest.approx(50)
    assert student.stability.mean_flip_rate == 0


def test_a_reference_that_was_measured_otherwise_is_refused() -> None:
    reference = sums.robustness_result(counts((1, 1), (1, 1), 1), SETTINGS, "g0", None)
    other = SETTINGS.model_copy(update={"stability": StabilitySettings(kinds=("tilt",), frames=5)})
    with pytest.raises(StageError, match="g0 was measured with other stability"):
        sums.robustness_result(counts((1, 1), (1, 1), 1), other, "g0", reference)


def test_a_sample_without_a_readable_image_is_an_error() -> None:
    with pytest.raises(StageError, match="none of the sampled images"):
        sums.robustness_result(Counter(), SETTINGS, "g0", None)


@pytest.fixture(scope="module")
def linear_model() -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """A model that classifies scikit-learn's digits, the digits' pixels in 0..1, and their labels."""
    torch.manual_seed(0)
    digits = load_digits()
    pixels = torch.tensor(digits.images / 16, dtype=torch.float32)[:, None].repeat(1, 3, 1, 1)
    labels = torch.tensor(digits.target)
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 10))
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(pixels), labels).backward()
        optimizer.step()
    return model.eval(), pixels[:300], labels[:300]


@pytest.mark.parametrize("epsilon", [4 / 255, 32 / 255])
def test_attacks_stay_within_epsilon_and_more_steps_do_more_harm(
    linear_model: tuple[nn.Module, torch.Tensor, torch.Tensor], epsilon: float
) -> None:
    model, pixels, labels = linear_model
    quick = fgsm(model, pixels, labels, epsilon)
    slow = pgd(model, pixels, labels, epsilon, 10, epsilon / 4, torch.Generator().manual_seed(0))

    def accuracy(images: torch.Tensor) -> float:
        return float((model(images).argmax(dim=1) == labels).float().mean())

    for attacked in (quick, slow):
        assert float((attacked - pixels).abs().max()) <= epsilon + 1e-6
        assert float(attacked.min()) >= 0
        assert float(attacked.max()) <= 1
        assert accuracy(attacked) <= accuracy(pixels)
    if epsilon > 0.1:
        assert accuracy(quick) < accuracy(pixels) - 0.1
        assert accuracy(slow) < accuracy(pixels) - 0.1


def test_a_random_start_depends_on_the_seed_alone(linear_model: tuple[nn.Module, torch.Tensor, torch.Tensor]) -> None:
    model, pixels, labels = linear_model
    first, again = (pgd(model, pixels, labels, 0.05, 3, 0.02, torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(first, again)


def test_an_external_set_may_have_some_of_the_classes_under_other_names() -> None:
    external = ExternalSet(name="wild", manifest_uri="/x", class_map={"moggy": "cat"})
    assert class_indices(external, ("dog", "moggy"), ("bird", "cat", "dog")) == [2, 1]
    with pytest.raises(StageError, match="does not know the class\\(es\\) 'fish' of the external set wild"):
        class_indices(external, ("fish",), ("bird", "cat", "dog"))
