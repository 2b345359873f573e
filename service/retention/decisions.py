"""Decides from a run's records which of its artifacts may go, with a reason for each. No I/O, no clock."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from service.config.policies import Artifact, RetentionPolicy
from service.lifecycle.teachers import teacher_generation
from workers.specs.stages import StageName

ARTIFACTS_OF: Mapping[StageName, tuple[Artifact, ...]] = {
    "train": (Artifact.CHECKPOINTS, Artifact.SCRATCH),
    "label": (Artifact.LABELS, Artifact.SCRATCH),
    "select": (Artifact.SELECTION, Artifact.SCRATCH),
    "search": (Artifact.SCRATCH,),
    "evaluate": (Artifact.SCRATCH,),
    "ablate": (Artifact.SCRATCH,),
    "measure": (Artifact.SCRATCH,),
    "predict": (Artifact.SCRATCH,),
    "verify": (Artifact.SCRATCH,),
}
_OF_LABELING = frozenset({Artifact.LABELS, Artifact.SELECTION})


@dataclass(frozen=True)
class StageFacts:
    name: StageName
    finished_at: float | None
    """When the stage succeeded, in Unix seconds; None if it has not."""
    marked: frozenset[Artifact] = frozenset()
    """The artifacts that retention has already marked or collected."""


@dataclass(frozen=True)
class GenerationFacts:
    number: int
    stages: tuple[StageFacts, ...]
    kept_for: str | None = None
    """The kept model that this generation trained or that descends from its model."""
    read_by: tuple[str, ...] = ()
    """The searches and ablations that read its labels and have not succeeded: they may run or be retried."""

    @property
    def over_at(self) -> float | None:
        """When the last stage succeeded, in Unix seconds; None while one has not."""
        times = [stage.finished_at for stage in self.stages]
        return None if None in times else max((time for time in times if time is not None), default=None)

    @property
    def has_labels(self) -> bool:
        return any(stage.name == "label" and stage.finished_at is not None for stage in self.stages)


@dataclass(frozen=True)
class RunFacts:
    run_id: str
    policy: RetentionPolicy
    generations: tuple[GenerationFacts, ...] = field(default=())


@dataclass(frozen=True)
class Decision:
    """What to do with one artifact that has not been marked before, and why."""

    generation: int
    stage: StageName
    artifact: Artifact
    collect: bool
    reason: str
    due_at: float | None = None
    """When to decide again even if the run has not changed, in Unix seconds; None if time alone changes nothing."""


def decide_retention(run: RunFacts, now: float) -> list[Decision]:
    """Returns a decision for each unmarked artifact, ordered by generation and stage. `now` is in Unix seconds."""
    return [
        _decide(run, generation, stage, artifact, now)
        for generation in run.generations
        for stage in generation.stages
        for artifact in ARTIFACTS_OF[stage.name]
        if artifact not in stage.marked
    ]


def next_look(decisions: Iterable[Decision]) -> float | None:
    """Returns when a kept artifact may have to go, in Unix seconds, or None if not before the run changes."""
    return min((decision.due_at for decision in decisions if decision.due_at is not None), default=None)


def ancestors(
    generation: int,
    models: frozenset[int],
    not_promoted: frozenset[int],
    chosen: Mapping[int, int | None] | None = None,
) -> Iterator[int]:
    """Yields a generation and its teachers, down to the first.

    `models` holds the generations that have trained a model; `not_promoted` those whose model the gate refused;
    `chosen` the teachers that someone chose, by the generation that they teach.
    """
    current: int | None = generation
    while current is not None:
        yield current
        current = teacher_generation(current, models, not_promoted, chosen)


def _decide(run: RunFacts, generation: GenerationFacts, stage: StageFacts, artifact: Artifact, now: float) -> Decision:
    needed = _needed(run, generation, stage, artifact)
    if needed is not None:
        # The readers of its labels are other runs. When they end, this run does not change, so decide again soon.
        due_at = now if generation.read_by else None
        return Decision(generation.number, stage.name, artifact, collect=False, reason=needed, due_at=due_at)
    since = generation.over_at if artifact in _OF_LABELING else stage.finished_at
    assert since is not None  # otherwise the artifact is needed
    due_at = since + run.policy.min_age_seconds
    if now < due_at:
        why = f"it has been over for less than {run.policy.min_age_seconds:g} s"
        return Decision(generation.number, stage.name, artifact, collect=False, reason=why, due_at=due_at)
    return Decision(generation.number, stage.name, artifact, collect=True, reason=_why_it_goes(run, artifact))


def _needed(run: RunFacts, generation: GenerationFacts, stage: StageFacts, artifact: Artifact) -> str | None:
    """Returns why the artifact must stay whatever its age, or None if it need not."""
    if stage.finished_at is None:
        return f"{stage.name} has not succeeded"
    if artifact is Artifact.SCRATCH:
        return None
    if generation.kept_for is not None:
        return f"the model {generation.kept_for} is kept"
    if artifact not in _OF_LABELING:
        return None
    if generation.over_at is None:
        return f"generation {generation.number} is not over"
    if generation.read_by:
        return f"{generation.read_by[0]} reads it"
    later = sum(other.has_labels for other in run.generations if other.number > generation.number)
    if later < run.policy.keep_label_generations:
        return f"it is among the last {run.policy.keep_label_generations} generation(s) with labels"
    return None


def _why_it_goes(run: RunFacts, artifact: Artifact) -> str:
    match artifact:
        case Artifact.CHECKPOINTS:
            return f"training is over: all but the best and the last {run.policy.keep_last_checkpoints}"
        case Artifact.LABELS | Artifact.SELECTION:
            return "superseded by later generations' labels"
        case Artifact.SCRATCH:
            return "the stage has succeeded without it"
