"""What is tracked: a stage, or a trial of a search, with its parameters and its place among the others. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workers.specs.model_card import model_id
from workers.specs.search import Trial
from workers.specs.stages import EvaluateSpec, SearchSpec, TrainSpec

Parameter = str | int | float | bool
TrackedSpec = TrainSpec | SearchSpec | EvaluateSpec


@dataclass(frozen=True)
class Subject:
    """One run, in a tracker's words: a stage, or a trial of a search."""

    spec: TrackedSpec
    """The stage's."""
    parameters: Mapping[str, Parameter]
    trial: int | None = None

    @property
    def name(self) -> str:
        """What people read: the stage, and the trial's number."""
        return self.spec.stage if self.trial is None else f"trial {self.trial:04d}"

    @property
    def identity(self) -> str:
        """The same for all attempts, of letters, digits, dots and dashes."""
        stage = f"{model_id(self.spec.run_id, self.spec.generation)}-{self.spec.stage}"
        return stage if self.trial is None else f"{stage}-t{self.trial:04d}"

    @property
    def facts(self) -> Mapping[str, str]:
        """Where it belongs: run, generation, stage, attempt, model and teacher, and the places to read more."""
        spec = self.spec
        trained = model_id(spec.run_id, spec.generation)
        facts = {
            "run": spec.run_id,
            "generation": str(spec.generation),
            "stage": spec.stage,
            "attempt": str(spec.attempt),
            "folder": spec.folder_uri,
        }
        if self.trial is not None:
            facts["trial"] = str(self.trial)
        if not isinstance(spec, SearchSpec):
            facts["model"] = trained
            facts["model_folder"] = spec.folder_uri if isinstance(spec, TrainSpec) else spec.model_uri
        training = spec.base if isinstance(spec, SearchSpec) else spec
        if isinstance(training, TrainSpec) and training.pseudo_labels is not None and training.pseudo_labels.teachers:
            facts["teacher"] = training.pseudo_labels.teachers[0]
        if spec.tracking.service_url is not None:
            facts["page"] = page_of(spec.tracking.service_url, spec.run_id)
            if not isinstance(spec, SearchSpec):
                # A zip, with the card of the model.
                facts["download"] = f"{spec.tracking.service_url.rstrip('/')}/models/{trained}/download"
        return facts


def page_of(service_url: str, run_id: str) -> str:
    """The run's page, for browsers."""
    return f"{service_url.rstrip('/')}/ui/runs/{run_id}"


def stage_subject(spec: TrackedSpec) -> Subject:
    """The stage itself; the parameters of a training are its model and its recipe, one by one."""
    match spec:
        case TrainSpec():
            parameters = {"model": spec.model, "seed": spec.seed, **flat(spec.recipe.model_dump(mode="json"))}
        case SearchSpec():
            searched = flat(spec.settings.model_dump(mode="json"))
            parameters = {"model": spec.base.model, "seed": spec.seed, **searched}
        case EvaluateSpec():
            robustness = {} if spec.robustness is None else spec.robustness.model_dump(mode="json")
            parameters = {"batch_size": spec.batch_size, **flat(robustness, "robustness.")}
    return Subject(spec, parameters)


def trial_subject(spec: SearchSpec, trial: Trial) -> Subject:
    """A trial; its parameters are what the search has drawn for it."""
    return Subject(spec, flat(trial.parameters.model_dump(mode="json")), trial.number)


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Parameter]:
    """Nested values by dotted names, as `noise.rand_augment.m`. Lists are JSON; nulls are left out."""
    found: dict[str, Parameter] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{name}.")
        elif isinstance(value, str | int | float):
            found[prefix + name] = value
        elif value is not None:
            found[prefix + name] = json.dumps(value)
    return found
