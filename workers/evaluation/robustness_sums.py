"""Makes the robustness tables from counts that add up over pieces, relative to a reference model. Pure."""

from collections import Counter
from collections.abc import Mapping

from workers.runtime.stage_reporter import StageError
from workers.specs.reports import FailureReason
from workers.specs.robustness import (
    AdversarialResult,
    AttackResult,
    CorruptionResult,
    RobustnessResult,
    RobustnessSettings,
    StabilityResult,
)

# The names of counts, as the actors write them.
CORRUPTION_IMAGES, CLEAN_ERRORS = "corruptions/images", "corruptions/clean"
SEQUENCES = "stability/sequences"
ADVERSARIAL_IMAGES, CLEAN_CORRECT = "adversarial/images", "adversarial/clean"


def corruption_key(kind: str, severity: int) -> str:
    """The name of the count of errors under a corruption at a severity."""
    return f"corruptions/{kind}/{severity}"


def flips_key(kind: str) -> str:
    """The name of the count of flipped predictions under a perturbation."""
    return f"stability/{kind}"


def attack_key(attack: str, epsilon: float) -> str:
    """The name of the count of correct predictions under an attack."""
    return f"adversarial/{attack}/{epsilon}"


def robustness_result(
    counts: Counter[str], settings: RobustnessSettings, reference_id: str, reference: RobustnessResult | None
) -> RobustnessResult:
    """The tables of a model's robustness: corruptions (mCE), stability (mFR), attacks (Xie et al., sections 3.3, 3.4).

    mCE and mFR are those of Hendrycks and Dietterich 2019, in percent of the reference. `reference` is None if the
    model is the reference itself: both are then 100. Raises StageError(USER_ERROR) if the reference was measured in
    another way.
    """
    return RobustnessResult(
        reference=reference_id,
        corruptions=_corruptions(counts, settings, reference),
        stability=_stability(counts, settings, reference),
        adversarial=_adversarial(counts, settings),
    )


def relative_percent(mine: Mapping[str, float], reference: Mapping[str, float], least: float) -> float:
    """The mean over kinds of 100 * mine / the reference's. The reference's counts as at least `least`."""
    return sum(100 * mine[kind] / max(reference[kind], least) for kind in mine) / len(mine)


def _corruptions(
    counts: Counter[str], settings: RobustnessSettings, reference: RobustnessResult | None
) -> CorruptionResult | None:
    asked = settings.corruptions
    if asked is None:
        return None
    images = _some(counts[CORRUPTION_IMAGES])
    errors: dict[str, tuple[float, ...]] = {
        kind: tuple(counts[corruption_key(kind, severity)] / images for severity in asked.severities)
        for kind in asked.kinds
    }
    mce = 100.0
    if reference is not None:
        theirs = reference.corruptions
        if theirs is None or set(theirs.errors) != set(errors) or theirs.severities != asked.severities:
            raise _measured_otherwise(reference, "corruptions")
        mine, others = _added(errors), _added(theirs.errors)
        mce = relative_percent(mine, others, least=1 / images)
    return CorruptionResult(
        images=images,
        severities=asked.severities,
        clean_error=counts[CLEAN_ERRORS] / images,
        errors=errors,
        mean_corruption_error=mce,
    )


def _stability(
    counts: Counter[str], settings: RobustnessSettings, reference: RobustnessResult | None
) -> StabilityResult | None:
    asked = settings.stability
    if asked is None:
        return None
    sequences = _some(counts[SEQUENCES])
    compared = sequences * (asked.frames - 1)
    rates: dict[str, float] = {kind: counts[flips_key(kind)] / compared for kind in asked.kinds}
    mfr = 100.0
    if reference is not None:
        theirs = reference.stability
        if theirs is None or set(theirs.flip_rates) != set(rates) or theirs.frames != asked.frames:
            raise _measured_otherwise(reference, "stability")
        mfr = relative_percent(rates, theirs.flip_rates, least=1 / compared)
    return StabilityResult(sequences=sequences, frames=asked.frames, flip_rates=rates, mean_flip_rate=mfr)


def _adversarial(counts: Counter[str], settings: RobustnessSettings) -> AdversarialResult | None:
    asked = settings.adversarial
    if asked is None:
        return None
    images = _some(counts[ADVERSARIAL_IMAGES])
    attacks = [
        AttackResult(attack=attack, epsilon=epsilon, top1=counts[attack_key(attack, epsilon)] / images)
        for attack in ("fgsm", "pgd")
        for epsilon in asked.epsilons
    ]
    return AdversarialResult(images=images, clean_top1=counts[CLEAN_CORRECT] / images, attacks=tuple(attacks))


def _added(errors: Mapping[str, tuple[float, ...]]) -> dict[str, float]:
    return {kind: sum(by_severity) for kind, by_severity in errors.items()}


def _some(images: int) -> int:
    if images == 0:
        raise StageError(FailureReason.BAD_DATA, "none of the sampled images can be read")
    return images


def _measured_otherwise(reference: RobustnessResult, part: str) -> StageError:
    message = f"the reference {reference.reference} was measured with other {part}: mCE and mFR cannot be compared"
    return StageError(FailureReason.USER_ERROR, message)
