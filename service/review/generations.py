"""Loads where the labels of a generation and of its neighbors are."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.artifacts.layout import ArtifactLayout
from service.config.stage_key import StageKey
from service.errors import Conflict
from service.lifecycle.states import StageState
from service.lifecycle.teachers import teacher_generation
from service.review.pools import PoolsOfRun
from service.store.dataset_store import load_classes
from service.store.paging import get_row
from service.store.run_store import load_config, load_plans
from service.store.schema.tables import GenerationRow, ModelRow, RunRow, StageRow


@dataclass(frozen=True)
class LabelsOfGeneration:
    """The label files of a generation, and its selection."""

    number: int
    labels_uri: str
    selection_uri: str | None
    """None until the select stage has succeeded."""


@dataclass(frozen=True)
class ReviewedGeneration:
    """A generation whose labels are looked at."""

    run_id: str
    labels: LabelsOfGeneration
    before: LabelsOfGeneration | None
    """The labels of the generation before; None if there are none of the same images."""
    why_none_before: str | None
    """Why `before` is None, in words."""
    after: LabelsOfGeneration | None
    """The labels that this generation's student gave as a teacher; None if it has given none."""
    why_no_student: str | None
    """Why `after` is None, in words."""
    classes: tuple[str, ...]
    """The class names in index order."""
    dataset_id: str
    """The pool."""
    shards: int


def load_reviewed(session: Session, layout: ArtifactLayout, run_id: str, generation: int) -> ReviewedGeneration:
    """Returns where the labels of the generation are. Raises NotFound, and Conflict before they are complete."""
    get_row(session, RunRow, run_id, "run", run_id)
    key = StageKey(run_id, generation, "label")
    get_row(session, StageRow, key, "stage", key.stage_id)
    of_run = select(StageRow).where(StageRow.run_id == run_id, StageRow.name.in_(["label", "select"]))
    stages = session.scalars(of_run.where(StageRow.generation.between(generation - 1, generation + 1)))
    done = {(row.generation, row.name) for row in stages if row.state == StageState.SUCCEEDED}

    def labels_of(number: int) -> LabelsOfGeneration | None:
        if (number, "label") not in done:
            return None
        folder = layout.stage_folder(StageKey(run_id, number, "label"))
        selection = layout.stage_folder(StageKey(run_id, number, "select"))
        return LabelsOfGeneration(number, folder, selection if (number, "select") in done else None)

    labels = labels_of(generation)
    if labels is None:
        raise Conflict(f"{run_id} has not labeled in generation {generation} yet: wait for its label stage")
    config, pools = load_config(session, run_id), PoolsOfRun(session, run_id)
    pool, before, after = pools.of(generation), labels_of(generation - 1), labels_of(generation + 1)
    why_none_before = _why_none_before(pools, generation, before is not None)
    why_no_student = _why_no_student(session, pools, run_id, generation, after is not None)
    return ReviewedGeneration(
        run_id=run_id,
        labels=labels,
        before=None if why_none_before is not None else before,
        why_none_before=why_none_before,
        after=None if why_no_student is not None else after,
        why_no_student=why_no_student,
        classes=load_classes(session, config.datasets.labeled),
        dataset_id=pool.id,
        shards=pool.shards,
    )


def _why_none_before(pools: PoolsOfRun, generation: int, has_labels_before: bool) -> str | None:
    if not has_labels_before:
        return f"Generation {generation} is the first that labels: there are no earlier labels to compare with."
    if not pools.can_be_compared(generation - 1, generation):
        return f"Generation {generation - 1} has labeled another pool: there are no earlier labels of these images."
    return None


def _why_no_student(
    session: Session, pools: PoolsOfRun, run_id: str, generation: int, has_labels_after: bool
) -> str | None:
    if not has_labels_after:
        return (
            f"No later generation has labeled with the student of generation {generation}: add a generation, or "
            "predict the pool with the student."
        )
    models = session.scalars(select(ModelRow.generation).where(ModelRow.run_id == run_id))
    refused = select(GenerationRow.number).where(GenerationRow.run_id == run_id, GenerationRow.promoted.is_(False))
    chosen = {number: plan.teacher for number, plan in load_plans(session, run_id).items()}
    teacher = teacher_generation(generation + 1, frozenset(models), frozenset(session.scalars(refused)), chosen)
    if teacher == generation:
        if pools.can_be_compared(generation, generation + 1):
            return None
        return f"The student of generation {generation} has labeled another pool, and says nothing of these images."
    return f"The gate refused the student of generation {generation}, so it has labeled nothing."
