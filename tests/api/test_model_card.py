"""The model card: what it says follows from what was measured, and the Hugging Face Hub can read its metadata."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from huggingface_hub import ModelCard as HubCard
from sqlalchemy import update

from service.exports.card import model_card_text
from service.exports.facts import DescribedModel, read_facts
from service.exports.limits import limits
from service.store.schema.tables import RunRow, StageRow
from tests.support.stored_models import store_model
from workers.specs.base import Frozen
from workers.specs.model_card import ModelCard
from workers.specs.results import (
    Calibration,
    Confusion,
    EvaluateResult,
    LabelResult,
    Metrics,
    SelectResult,
    StageTiming,
)
from workers.specs.review import MarksApplied
from workers.specs.robustness import (
    AdversarialResult,
    AttackResult,
    CorruptionResult,
    RobustnessResult,
    StabilityResult,
)

TIMING = StageTiming(entered_at=1.0, work_started_at=2.0, work_ended_at=3.0)


def metrics(top1: float, per_class: dict[str, float | None], error: float = 0.031) -> Metrics:
    return Metrics(
        images=4321,
        top1=top1,
        top5=0.99,
        per_class=per_class,
        expected_calibration_error=error,
        confusion=Confusion(classes=len(per_class), counts=()),
    )


EVALUATED = EvaluateResult(
    attempt=1,
    timing=TIMING,
    metrics=metrics(0.9, {"cat": 0.97, "dog": 0.4, "fox": None}),
    bad_images=0,
    pseudo_labels=metrics(0.876, {"cat": 0.9, "dog": 0.8, "fox": 0.7}),
    robustness=RobustnessResult(
        reference="run-1-g0",
        corruptions=CorruptionResult(
            images=100, severities=(1, 3), clean_error=0.1, errors={"fog": (0.1, 0.2)}, mean_corruption_error=71.6
        ),
        stability=StabilityResult(sequences=10, frames=5, flip_rates={"tilt": 0.1}, mean_flip_rate=63.2),
        adversarial=AdversarialResult(
            images=100, clean_top1=0.9, attacks=(AttackResult(attack="pgd", epsilon=4.0, top1=0.123),)
        ),
    ),
)
LABELED = LabelResult(
    attempt=1,
    timing=TIMING,
    images=1200,
    labeled=1190,
    bad_images=10,
    shards=1,
    shards_resumed=0,
    mean_confidence=0.87,
    images_per_second=100.0,
    held_out=3,
    near_duplicates=7,
    near_duplicates_unchecked=("validation",),
    calibration=Calibration(
        temperature=1.437,
        images=200,
        error_before=0.08,
        error_after=0.02,
        loss_before=0.5,
        loss_after=0.4,
        bins_before=(),
        bins_after=(),
    ),
)


@pytest.fixture
def card(tmp_path: Path) -> ModelCard:
    return store_model(str(tmp_path / "stored"), classes=("cat", "dog", "fox"))


def text_of(app: FastAPI, card: ModelCard, model_id: str) -> str:
    services = app.state.services
    return model_card_text(DescribedModel(read_facts(services.database, services.lineage, model_id), card))


def recorded(app: FastAPI, run_id: str, generation: int, stage: str, result: Frozen) -> None:
    """Puts another result in the place of the one that the stage gave."""
    with app.state.services.database.write() as session:
        session.execute(
            update(StageRow)
            .where(StageRow.run_id == run_id, StageRow.generation == generation, StageRow.name == stage)
            .values(result=result.model_dump_json())
        )


def section(text: str, title: str) -> str:
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_a_card_has_every_section(app: FastAPI, finished_run: str, card: ModelCard) -> None:
    for generation in (0, 2):
        text = text_of(app, card, f"{finished_run}-g{generation}")
        for title in ("Use", "Data", "Training", "Lineage", "Accuracy", "Robustness", "Calibration", "Limits"):
            assert len(section(text, title)) > 20, title


def test_the_hub_reads_what_was_measured_on_which_data(app: FastAPI, finished_run: str, card: ModelCard) -> None:
    recorded(app, finished_run, 2, "evaluate", EVALUATED)
    data: Any = HubCard(text_of(app, card, f"{finished_run}-g2")).data
    assert (data.library_name, data.pipeline_tag) == ("timm", "image-classification")
    found = {(each.dataset_name, each.metric_name): each.metric_value for each in data.eval_results}
    assert found == {
        ("test", "Top-1 accuracy"): 0.9,
        ("test", "Top-5 accuracy"): 0.99,
        ("test", "Expected calibration error"): 0.031,
    }


def test_a_card_tells_data_recipe_and_lineage(app: FastAPI, finished_run: str, card: ModelCard) -> None:
    recorded(app, finished_run, 2, "label", LABELED)
    text = text_of(app, card, f"{finished_run}-g2")
    data = section(text, "Data")
    for part in ("labeled", "unlabeled", "validation", "test"):
        assert f"| {part} | `{part}` |" in data
    assert "labeled 1,190 of 1,200 unlabeled images (10 are broken)" in data
    assert "3 equal an evaluation image and were left out; 7 look like one" in data
    training = section(text, "Training")
    assert "dropout: 0.1" in training
    assert "min_confidence:" in training
    lineage = section(text, "Lineage")
    for generation in (0, 1, 2):
        assert f"| {generation} | `{finished_run}-g{generation}` |" in lineage
    assert f"labels of `{finished_run}-g0`" in lineage
    assert f"noisy-student models lineage {finished_run}-g2 --run-config" in lineage
    assert lineage.count("noisy-student runs create") == 1


def test_a_card_tells_accuracy_robustness_and_calibration(app: FastAPI, finished_run: str, card: ModelCard) -> None:
    recorded(app, finished_run, 2, "evaluate", EVALUATED)
    recorded(app, finished_run, 2, "label", LABELED)
    text = text_of(app, card, f"{finished_run}-g2")
    accuracy = section(text, "Accuracy")
    assert "| test | 4,321 | 90.00% | 99.00% |" in accuracy
    assert "| `dog` | 40.00% |" in accuracy
    assert "87.60% are right" in accuracy
    robustness = section(text, "Robustness")
    for figure in ("71.6 %", "63.2 %", "accuracy under PGD, epsilon 4 of 255 | 12.30%"):
        assert figure in robustness
    assert "0.0310" in section(text, "Calibration")
    assert "temperature 1.437, calibration error 0.0800 before and 0.0200 after" in section(text, "Calibration")


def test_limits_follow_from_what_was_measured(app: FastAPI, finished_run: str, card: ModelCard) -> None:
    before = section(text_of(app, card, f"{finished_run}-g2"), "Limits")
    assert "There are only 4 test images" in before
    assert "was not measured" in before
    recorded(app, finished_run, 2, "evaluate", EVALUATED)
    recorded(app, finished_run, 2, "label", LABELED)
    after = section(text_of(app, card, f"{finished_run}-g2"), "Limits")
    assert "There are only" not in after
    assert "1 classes have no test images: `fox`" in after
    assert "less than half as often as all together: `dog`" in after
    assert "were not looked for among the unlabeled ones: `validation`" in after
    assert "teacher's mistakes" in after
    assert "teacher's mistakes" not in section(text_of(app, card, f"{finished_run}-g0"), "Limits")


def test_each_limit_of_an_imported_model_is_said_once(app: FastAPI, finished_run: str, card: ModelCard) -> None:
    services = app.state.services
    facts = read_facts(services.database, services.lineage, f"{finished_run}-g0")
    model = facts.model.model_copy(update={"imported_from": "s3://models/elsewhere"})
    said = list(limits(DescribedModel(replace(facts, model=model), card)))
    assert len(said) == len(set(said))
    assert any("What it was trained on is not known" in sentence for sentence in said)


def test_a_first_teacher_is_not_said_to_have_seen_unlabeled_images(
    app: FastAPI, finished_run: str, card: ModelCard
) -> None:
    text = text_of(app, card, f"{finished_run}-g0")
    assert "| unlabeled |" not in section(text, "Data")
    assert "labeled images alone" in section(text, "Lineage")


@pytest.mark.attack
def test_names_of_others_are_no_markup(app: FastAPI, client: TestClient, finished_run: str, card: ModelCard) -> None:
    evil = "x` | <img src=x onerror=alert(1)>\n## Limits\n- none\u202e"
    with app.state.services.database.write() as session:
        session.execute(update(RunRow).where(RunRow.id == finished_run).values(name=evil))
    text = text_of(app, card.model_copy(update={"classes": (evil, "dog", "fox")}), f"{finished_run}-g2")
    assert text.count("\n## Limits\n") == 1
    assert "\u202e" not in text
    lines = [line.split("`") for line in text.splitlines() if "<img" in line]
    assert len(lines) == 2
    for parts in lines:
        assert [number % 2 for number, part in enumerate(parts) if "<img" in part] == [1], "it stands in a code span"


def test_a_card_says_what_people_have_marked(app: FastAPI, finished_run: str, card: ModelCard) -> None:
    marks = MarksApplied(marks=12, given=9, changed=7, wrong=3, not_found=0)
    select = SelectResult(
        attempt=1,
        timing=TIMING,
        images_labeled=1190,
        dropped_bad=10,
        dropped_held_out=3,
        dropped_low_confidence=400,
        dropped_over_cap=0,
        kept=780,
        copies=900,
        classes=(),
        marks=marks,
    )
    assert "People had looked" not in text_of(app, card, f"{finished_run}-g1")
    recorded(app, finished_run, 1, "select", select)
    text = " ".join(text_of(app, card, f"{finished_run}-g1").split())
    assert "looked at 12 of the images. 9 have the class that they gave, 7 of these another one" in text
    assert "3 were left out because the teacher's label was marked as wrong" in text
