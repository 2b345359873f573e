"""Builds a model of foreign weights, has it label a few images, and writes it as a training writes its own."""

import tempfile
import time

import torch
from torch import nn

from workers.initialization.fitting import Fit, fitted
from workers.initialization.refusals import refusal
from workers.models.create import create_model, model_options
from workers.models.files import write_model
from workers.registration.checking import checked
from workers.registration.weights import FoundWeights, find_weights
from workers.specs.initialization import InitialWeights, InitialWeightsReport, InputConfiguration
from workers.specs.model_card import ModelCard
from workers.specs.registration import ImportedInput
from workers.specs.results import StageTiming, VerifyResult
from workers.specs.stages import VerifySpec

_HARMLESS = "num_batches_tracked"
"""A counter of batch norms that checkpoints of old versions of torch lack. It only acts in training."""
_NAMES_SHOWN = 5


def register(spec: VerifySpec) -> VerifyResult:
    """Registers the model of `spec`. Raises StageError like `run_verify`."""
    found = find_weights(spec.settings, spec.file_roots)
    configuration = _configuration(found.source.configuration, spec.settings.input)
    fit = fitted(found.source, found.model, found.classes, configuration.image_size)
    _check_complete(fit, found)
    model = _built(found, fit, configuration)
    report = InitialWeightsReport(
        weights=InitialWeights(
            kind="file",
            source=found.source.name,
            digest=found.source.digest,
            tensors_taken=len(fit.taken),
            tensors_left=len(fit.left),
            tensors_new=len(fit.new),
        ),
        configuration=configuration,
        followed=(),
        taken=tuple(fit.taken),
        left=fit.left,
        new=fit.new,
    )
    card = _card(spec, found, configuration, report.weights, model)
    with tempfile.TemporaryDirectory(prefix="noisy-student-model-") as folder:
        write_model(folder, model.state_dict(), card)
        check = checked(folder, spec)
    write_model(spec.folder_uri, model.state_dict(), card.model_copy(update={"validation_top1": check.top1}))
    now = time.time()
    return VerifyResult(
        attempt=spec.attempt,
        timing=StageTiming(entered_at=now, work_started_at=now, work_ended_at=now),
        model_uri=spec.folder_uri,
        model=found.model,
        classes=found.classes,
        parameters=card.parameters,
        initial_weights=report,
        check=check,
    )


def _configuration(own: InputConfiguration, given: ImportedInput) -> InputConfiguration:
    """The weights' own configuration, with what the user says instead."""
    said = given.model_dump(exclude_none=True)
    if "crop_fraction" in said:
        said["test_crop_fraction"] = said.pop("crop_fraction")
    if said.get("crop") == "center":
        said["crop"] = "random_resized"
    return InputConfiguration.model_validate(own.model_dump() | said)


def _check_complete(fit: Fit, found: FoundWeights) -> None:
    """Raises StageError unless every tensor of the model is there, and there is no other."""
    name, source = found.model, found.source.name
    if fit.outputs is not None and fit.outputs != len(found.classes):
        raise refusal(
            f"settings.classes: the classifier of {source} has {fit.outputs} outputs, and {len(found.classes)} classes "
            f"are named by {found.classes_said_by}: name one class for each output, in their order"
        )
    missing = [tensor for tensor in fit.new if not tensor.endswith(_HARMLESS)]
    if missing:
        raise refusal(f"settings.uri: {source} lacks {len(missing)} tensors of {name}: {_shown(missing)}")
    if fit.left:
        raise refusal(
            f"settings.uri: {source} has {len(fit.left)} tensors that {name} does not know: {_shown(fit.left)}; "
            "name the model that they belong to"
        )


def _built(found: FoundWeights, fit: Fit, configuration: InputConfiguration) -> nn.Module:
    model = create_model(found.model, len(found.classes), configuration.image_size, dropout=0.0, drop_path=0.0)
    model.load_state_dict(fit.taken, strict=False)  # complete but for counters
    infinite = [name for name, value in fit.taken.items() if value.is_floating_point() and not _is_finite(value)]
    if infinite:
        raise refusal(f"settings.uri: {found.source.name} has values that are not finite, in {_shown(infinite)}")
    return model.eval()


def _is_finite(value: torch.Tensor) -> bool:
    return bool(value.isfinite().all())


def _card(
    spec: VerifySpec,
    found: FoundWeights,
    configuration: InputConfiguration,
    weights: InitialWeights,
    model: nn.Module,
) -> ModelCard:
    return ModelCard(
        model=found.model,
        classes=found.classes,
        image_size=configuration.image_size,
        mean=configuration.mean,
        std=configuration.std,
        crop="none" if configuration.crop == "none" else "center",
        interpolation=configuration.interpolation,
        crop_fraction=configuration.test_crop_fraction,
        model_options=model_options(found.model, configuration.image_size),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        run_id=spec.run_id,
        generation=spec.generation,
        validation_top1=None,
        initial_weights=weights,
        imported_from=found.source.name,
    )


def _shown(names: list[str] | tuple[str, ...]) -> str:
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(names[:_NAMES_SHOWN]) + more
