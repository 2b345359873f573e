"""Makes results of stages, with figures that a small run could have."""

from typing import Any

from tests.support.made_measurements import made_measurement
from workers.specs.ablation import AblationOutcome
from workers.specs.hygiene import BrokenKind
from workers.specs.initialization import InitialWeights, InitialWeightsReport, InputConfiguration
from workers.specs.prediction import KnownTruth, PredictionOutcome
from workers.specs.registration import ModelCheck
from workers.specs.results import (
    AblateResult,
    AnyStageResult,
    Confusion,
    EvaluateResult,
    LabelResult,
    MeasureResult,
    Metrics,
    PredictResult,
    SearchResult,
    SelectResult,
    StageTiming,
    TrainResult,
    ValidationMetrics,
    VerifyResult,
)
from workers.specs.search import SearchOutcome, Trial, TrialParameters
from workers.specs.stages import AnyStageSpec


def made_report(source: str) -> InitialWeightsReport:
    """What a stage says of a file of weights that fit."""
    return InitialWeightsReport(
        weights=InitialWeights(
            kind="file", source=source, digest="ab" * 32, tensors_taken=1, tensors_left=0, tensors_new=0
        ),
        configuration=InputConfiguration(
            image_size=48,
            mean=(0.5, 0.5, 0.5),
            std=(0.25, 0.25, 0.25),
            crop="none",
            test_crop_fraction=1.0,
            interpolation="bilinear",
        ),
        followed=(),
        taken=("fc.weight",),
        left=(),
        new=(),
    )


def made_result(spec: AnyStageSpec, timing: StageTiming, top1: float) -> AnyStageResult:
    """A plausible result for any stage. `top1` is the accuracy that an evaluation finds, in 0..1."""
    common: dict[str, Any] = {"attempt": spec.attempt, "timing": timing}
    match spec.stage:
        case "train":
            return TrainResult(
                **common,
                model_uri=spec.folder_uri,
                parameters=372_688,
                steps=200,
                resumed_from_step=0,
                images_seen=1000,
                final_loss=0.25,
                validation_top1=0.9,
                bad_images=0,
            )
        case "label":
            return LabelResult(
                **common,
                images=6,
                labeled=6,
                bad_images=0,
                shards=1,
                shards_resumed=0,
                dataset_id=spec.manifest_uri.split("/")[-2],
                labeled_by=spec.labeled_by(temperature=1.0),
                mean_confidence=0.9,
                images_per_second=100.0,
            )
        case "select":
            return SelectResult(
                **common,
                images_labeled=6,
                dropped_bad=0,
                dropped_held_out=0,
                dropped_low_confidence=1,
                dropped_over_cap=0,
                kept=5,
                copies=6,
                classes=(),
            )
        case "search":
            trial = Trial(
                number=0,
                state="finished",
                parameters=TrialParameters(
                    model="large", rand_augment_n=1, rand_augment_m=3, dropout=0, drop_path=0, unlabeled_ratio=7
                ),
                model_parameters=1000,
                multiply_adds=10,
                steps=10,
            )
            outcome = SearchOutcome(
                trials=(trial,),
                best_trial=0,
                model="large",
                recipe=spec.base.recipe.model_copy(update={"unlabeled_ratio": 7.0}),
                steps_run=10,
                steps_of_full_trials=10,
                pareto_front=(0,),
                excluded_models=(),
            )
            return SearchResult(**common, outcome=outcome)
        case "evaluate":
            metrics = Metrics(
                images=4,
                top1=top1,
                top5=1.0,
                per_class={"cat": 1.0, "dog": None},
                expected_calibration_error=0.1,
                confusion=Confusion(classes=2, counts=((0, 0, 4),)),
            )
            validation = None if spec.validation_manifest_uri is None else ValidationMetrics(metrics=metrics)
            return EvaluateResult(**common, metrics=metrics, bad_images=0, validation=validation)
        case "measure":
            return MeasureResult(**common, measurement=made_measurement(spec.students))
        case "predict":
            truth = KnownTruth(images=4, top1_right=round(4 * top1), top5_right=4)
            return PredictResult(
                **common,
                outcome=PredictionOutcome(
                    images=6,
                    predicted=5,
                    bad_images=1,
                    bad_by_kind={BrokenKind.TRUNCATED: 1},
                    shards=1,
                    shards_resumed=0,
                    mean_confidence=0.9,
                    images_per_second=100.0,
                    truth=truth,
                ),
            )
        case "verify":
            return VerifyResult(
                **common,
                model_uri=spec.folder_uri,
                model=spec.settings.model or "large",
                classes=spec.settings.classes or ("cat", "dog"),
                parameters=900,
                initial_weights=made_report(spec.settings.uri),
                check=ModelCheck(images=spec.settings.images, bad_images=0, top1=0.8, classes_named=2),
            )
        case "ablate":
            outcome_of_ablation = AblationOutcome(
                on=spec.settings.on, teacher_error=spec.teacher_error, lines=(), left_out={}, trainings=()
            )
            return AblateResult(**common, outcome=outcome_of_ablation)
