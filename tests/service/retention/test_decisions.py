"""Retention's decisions: what is deleted, what stays, and why. No database, no files."""

from dataclasses import replace
from typing import get_args

import pytest

from service.config.policies import Artifact, RetentionOverrides, RetentionPolicy
from service.retention.decisions import (
    ARTIFACTS_OF,
    Decision,
    GenerationFacts,
    RunFacts,
    StageFacts,
    ancestors,
    decide_retention,
    next_look,
)
from service.retention.files import surplus_checkpoints
from workers.specs.checkpoint import CheckpointNote
from workers.specs.stages import StageName

POLICY = RetentionPolicy(keep_last_checkpoints=1, keep_label_generations=1, min_age_seconds=100)
OVER_AT = 1000.0
LONG_AFTER = OVER_AT + 1000


def student(number: int, finished_at: float | None = OVER_AT) -> GenerationFacts:
    stages = ("label", "select", "train", "evaluate")
    return GenerationFacts(number, tuple(StageFacts(name, finished_at) for name in stages))  # type: ignore[arg-type]


def run(*generations: GenerationFacts, policy: RetentionPolicy = POLICY) -> RunFacts:
    return RunFacts("run-1", policy, generations)


def decision(facts: RunFacts, generation: int, artifact: Artifact, now: float = LONG_AFTER) -> Decision:
    [found] = [
        each for each in decide_retention(facts, now) if (each.generation, each.artifact) == (generation, artifact)
    ]
    return found


def test_labels_go_when_later_generations_have_labels_of_their_own() -> None:
    facts = run(student(1), student(2))

    assert decision(facts, 1, Artifact.LABELS).collect
    assert decision(facts, 1, Artifact.SELECTION).collect
    assert not decision(facts, 2, Artifact.LABELS).collect
    assert "last 1 generation" in decision(facts, 2, Artifact.LABELS).reason


def test_labels_stay_while_the_generation_that_supersedes_them_is_being_labeled() -> None:
    labeling = replace(student(2, None))

    assert not decision(run(student(1), labeling), 1, Artifact.LABELS).collect


def test_labels_stay_until_their_own_student_is_evaluated() -> None:
    half = student(1)
    half = replace(half, stages=(*half.stages[:3], StageFacts("evaluate", None)))
    policy = replace_policy(keep_label_generations=0)

    found = decision(run(half, policy=policy), 1, Artifact.LABELS)

    assert (found.collect, found.reason) == (False, "generation 1 is not over")


def test_labels_stay_while_a_search_or_an_ablation_reads_them() -> None:
    facts = run(replace(student(1), read_by=("ablation-1",)), student(2))

    assert decision(facts, 1, Artifact.LABELS).reason == "ablation-1 reads it"
    assert not decision(facts, 1, Artifact.SELECTION).collect
    assert decision(facts, 1, Artifact.CHECKPOINTS).collect


def test_a_kept_model_keeps_its_checkpoints_labels_and_selection() -> None:
    facts = run(replace(student(1), kept_for="run-1-g1"), student(2))

    for artifact in (Artifact.CHECKPOINTS, Artifact.LABELS, Artifact.SELECTION):
        assert decision(facts, 1, artifact).reason == "the model run-1-g1 is kept"
    assert decision(facts, 2, Artifact.CHECKPOINTS).collect


def test_checkpoints_stay_until_the_train_stage_has_succeeded() -> None:
    assert not decision(run(student(1, None)), 1, Artifact.CHECKPOINTS).collect
    assert decision(run(student(1)), 1, Artifact.CHECKPOINTS).collect


def test_nothing_goes_before_its_time() -> None:
    facts = run(student(1), student(2))

    assert not any(each.collect for each in decide_retention(facts, OVER_AT + 99))
    assert any(each.collect for each in decide_retention(facts, OVER_AT + 100))


def test_what_stays_for_its_age_alone_says_until_when() -> None:
    found = decision(run(student(1)), 1, Artifact.CHECKPOINTS, now=OVER_AT + 99)

    reason = "it has been over for less than 100 s"
    assert found == Decision(1, "train", Artifact.CHECKPOINTS, collect=False, reason=reason, due_at=OVER_AT + 100)


def test_labels_are_as_old_as_their_generation_and_not_as_the_stage_that_made_them() -> None:
    *begun, evaluated = student(1, OVER_AT - 50).stages
    slow = GenerationFacts(1, (*begun, replace(evaluated, finished_at=OVER_AT)))
    facts = run(slow, student(2))

    for artifact in (Artifact.LABELS, Artifact.SELECTION):
        assert not decision(facts, 1, artifact, now=OVER_AT + 99).collect
        assert decision(facts, 1, artifact, now=OVER_AT + 100).collect
    assert decision(facts, 1, Artifact.CHECKPOINTS, now=OVER_AT + 50).collect


@pytest.mark.parametrize(
    ("artifact", "stage", "why"),
    [
        (Artifact.CHECKPOINTS, "train", "training is over: all but the best and the last 1"),
        (Artifact.LABELS, "label", "superseded by later generations' labels"),
        (Artifact.SELECTION, "select", "superseded by later generations' labels"),
    ],
)
def test_what_goes_says_why(artifact: Artifact, stage: StageName, why: str) -> None:
    found = decision(run(student(1), student(2)), 1, artifact)

    assert found == Decision(1, stage, artifact, collect=True, reason=why)


def test_scratch_goes_with_its_stage_also_of_a_model_that_is_kept() -> None:
    kept = GenerationFacts(0, (StageFacts("evaluate", OVER_AT),), kept_for="run-1-g0")

    [found] = decide_retention(run(kept), LONG_AFTER)

    assert found == Decision(0, "evaluate", Artifact.SCRATCH, collect=True, reason="the stage has succeeded without it")


def test_the_next_look_is_at_the_first_time_that_anything_is_due() -> None:
    kept, soon = replace(student(1), kept_for="run-1-g1"), student(2, OVER_AT + 30)
    decisions = decide_retention(run(kept, soon, student(3, OVER_AT + 60)), OVER_AT)

    assert next_look(decisions) == OVER_AT + 100, "the scratch of generation 1"
    assert next_look(each for each in decisions if each.generation > 1) == OVER_AT + 130


def test_nothing_is_looked_at_again_where_time_alone_changes_nothing() -> None:
    assert next_look(decide_retention(run(student(1, None)), LONG_AFTER)) is None


def test_labels_that_another_run_reads_are_looked_at_again_at_once() -> None:
    """The other run ends without notifying this one."""
    facts = run(replace(student(1), read_by=("ablation-1",)), student(2))

    found = decision(facts, 1, Artifact.LABELS)

    assert (found.stage, found.collect, found.due_at) == ("label", False, LONG_AFTER)
    assert decision(facts, 2, Artifact.LABELS).due_at is None


def test_what_is_marked_is_not_decided_again() -> None:
    generation = student(1)
    stages = tuple(
        replace(stage, marked=frozenset({Artifact.LABELS, Artifact.SCRATCH})) if stage.name == "label" else stage
        for stage in generation.stages
    )

    assert all(each.stage != "label" for each in decide_retention(run(replace(generation, stages=stages)), LONG_AFTER))


def test_a_runs_own_policy_goes_before_the_services() -> None:
    own = RetentionOverrides(keep_label_generations=0)

    assert own.over(POLICY) == replace_policy(keep_label_generations=0)
    assert decision(run(student(1), policy=own.over(POLICY)), 1, Artifact.LABELS).collect


def test_ancestors_pass_over_models_that_were_not_promoted() -> None:
    assert list(ancestors(3, frozenset({0, 1, 2, 3}), frozenset({2}))) == [3, 1, 0]


@pytest.mark.parametrize(
    ("keep_last", "going"),
    [
        (0, ["checkpoint_1", "checkpoint_3", "checkpoint_4"]),
        (1, ["checkpoint_1", "checkpoint_3"]),
        (2, ["checkpoint_1"]),
        (9, []),
    ],
)
def test_the_best_checkpoint_and_the_last_ones_stay(keep_last: int, going: list[str]) -> None:
    notes = {
        "checkpoint_4": CheckpointNote(step=4, validation_top1=0.7),
        "checkpoint_1": CheckpointNote(step=1, validation_top1=None),
        "checkpoint_2": CheckpointNote(step=2, validation_top1=0.9),
        "checkpoint_3": None,
    }

    assert surplus_checkpoints(notes, keep_last) == going


def replace_policy(**changes: int) -> RetentionPolicy:
    return POLICY.model_copy(update=changes)


def test_every_kind_of_stage_has_artifacts_to_decide_on() -> None:
    assert set(ARTIFACTS_OF) == set(get_args(StageName))
