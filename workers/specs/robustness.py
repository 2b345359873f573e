"""What the evaluate stage measures besides clean accuracy (Xie et al., section 3.3 and appendix D), and the results."""

from typing import Annotated, Literal, get_args

from pydantic import Field

from workers.specs.base import Frozen

Corruption = Literal[
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "defocus_blur",
    "glass_blur",
    "motion_blur",
    "zoom_blur",
    "snow",
    "frost",
    "fog",
    "brightness",
    "contrast",
    "elastic_transform",
    "pixelate",
    "jpeg_compression",
]
"""The 15 corruptions of ImageNet-C (Hendrycks and Dietterich 2019)."""
Perturbation = Literal[
    "gaussian_noise",
    "shot_noise",
    "motion_blur",
    "zoom_blur",
    "snow",
    "brightness",
    "translate",
    "rotate",
    "tilt",
    "scale",
]
"""The ten perturbations of ImageNet-P (Hendrycks and Dietterich 2019)."""
CORRUPTIONS: tuple[Corruption, ...] = get_args(Corruption)
PERTURBATIONS: tuple[Perturbation, ...] = get_args(Perturbation)
SEVERITIES = (1, 2, 3, 4, 5)

Severity = Annotated[int, Field(ge=1, le=5)]


class CorruptionSettings(Frozen):
    """Which corruptions to measure on test images, as ImageNet-C does."""

    kinds: tuple[Corruption, ...] = Field(default=CORRUPTIONS, min_length=1, max_length=len(CORRUPTIONS))
    severities: tuple[Severity, ...] = Field(default=SEVERITIES, min_length=1, max_length=len(SEVERITIES))
    sample: int = Field(default=1000, ge=1, le=1_000_000_000, description="Number of test images, drawn by the seed.")


class StabilitySettings(Frozen):
    """Which perturbations to measure on sequences of slowly changing images, as ImageNet-P does."""

    kinds: tuple[Perturbation, ...] = Field(default=PERTURBATIONS, min_length=1, max_length=len(PERTURBATIONS))
    frames: int = Field(default=16, ge=2, le=100, description="Images per sequence.")
    sample: int = Field(default=200, ge=1, le=1_000_000_000, description="Number of test images, drawn by the seed.")


class AdversarialSettings(Frozen):
    """The attacks to measure: FGSM (Goodfellow et al. 2014) and PGD (Madry et al. 2017) in the maximum norm."""

    epsilons: tuple[Annotated[float, Field(gt=0, le=255)], ...] = Field(
        default=(1.0, 2.0, 4.0, 8.0, 16.0),
        min_length=1,
        max_length=100,
        description="Maximum change of a pixel value, of 255.",
    )
    pgd_steps: int = Field(default=10, ge=1, le=1000)
    pgd_step_size: float = Field(default=1.0, gt=0, le=255, description="Change of a pixel value per step, of 255.")
    sample: int = Field(default=200, ge=1, le=1_000_000_000, description="Number of test images, drawn by the seed.")


class RobustnessSettings(Frozen):
    """Which of the paper's robustness measurements to make; null leaves one out."""

    corruptions: CorruptionSettings | None = CorruptionSettings()
    stability: StabilitySettings | None = StabilitySettings()
    adversarial: AdversarialSettings | None = AdversarialSettings()


class CorruptionResult(Frozen):
    """Errors under corruption, as shares of the sampled images in 0..1."""

    images: int
    severities: tuple[int, ...]
    clean_error: float
    errors: dict[str, tuple[float, ...]]
    """Errors by kind of corruption, one per severity."""
    mean_corruption_error: float
    """mCE in percent: the mean over kinds of 100 x (sum of the errors over severities) / (the same sum of the
    reference), so 100 for the reference itself. A reference without errors counts as having made one."""


class StabilityResult(Frozen):
    """Flip rates: how often predictions of neighboring frames (noise: of a frame and the first) differ, in 0..1."""

    sequences: int
    frames: int
    flip_rates: dict[str, float]
    mean_flip_rate: float
    """mFR in percent, relative to the reference, like the mCE."""


class AttackResult(Frozen):
    attack: Literal["fgsm", "pgd"]
    epsilon: float
    """The largest change of a pixel value, on a scale of 255."""
    top1: float


class AdversarialResult(Frozen):
    images: int
    clean_top1: float
    attacks: tuple[AttackResult, ...]


class RobustnessResult(Frozen):
    reference: str
    """The id of the model that mCE and mFR are relative to."""
    corruptions: CorruptionResult | None
    stability: StabilityResult | None
    adversarial: AdversarialResult | None
