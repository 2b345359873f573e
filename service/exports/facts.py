"""What a model's card tells, read from the database: what the model is, where it comes from, and what was measured."""

from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import select

from service.runs.lineage import LineageQueries
from service.runs.view_builder import model_view
from service.store.database import Database
from service.store.paging import get_row
from service.store.schema.tables import GenerationRow, ModelRow, RunRow, StageRow
from service.store.stored_values import read_if_possible
from service.views.lineage import DatasetLineage, ModelLineage
from service.views.runs import ModelView
from workers.specs.model_card import ModelCard
from workers.specs.results import EvaluateResult, LabelResult, SelectResult, StageResult, TrainResult

Result = TypeVar("Result", bound=StageResult)


@dataclass(frozen=True)
class ModelFacts:
    """A model as the database knows it. Results are None if the stage has not succeeded, or did not run."""

    model: ModelView
    run_name: str
    lineage: ModelLineage
    gate_reason: str | None
    """Why the gate did not accept the model as a teacher; None if it did, or if there is no gate."""
    train: TrainResult | None
    label: LabelResult | None
    """How the labels were made that the model learned from."""
    select: SelectResult | None
    evaluate: EvaluateResult | None

    def dataset(self, part: str) -> DatasetLineage | None:
        """The run's dataset of that part, such as `test`."""
        return next((each for each in self.lineage.datasets if each.part == part), None)


@dataclass(frozen=True)
class DescribedModel:
    """A model with the card that lies next to its weights."""

    facts: ModelFacts
    card: ModelCard


def read_facts(database: Database, lineage: LineageQueries, model_id: str) -> ModelFacts:
    """Reads what is known of a model. Raises NotFound."""
    with database.read() as session:
        row = get_row(session, ModelRow, model_id, "model", model_id)
        run = get_row(session, RunRow, row.run_id, "run", row.run_id)
        generation = get_row(session, GenerationRow, (row.run_id, row.generation), "generation", model_id)
        stages = select(StageRow.name, StageRow.result).where(
            StageRow.run_id == row.run_id, StageRow.generation == row.generation
        )
        results = {name: result for name, result in session.execute(stages) if result is not None}
        model, run_name, gate_reason = model_view(row), run.name, generation.gate_reason

    def result(kind: type[Result], stage: str) -> Result | None:
        return read_if_possible(kind, results[stage], f"{model_id}, stage {stage}") if stage in results else None

    return ModelFacts(
        model=model,
        run_name=run_name,
        lineage=lineage.model_lineage(model_id),
        gate_reason=gate_reason,
        train=result(TrainResult, "train"),
        label=result(LabelResult, "label"),
        select=result(SelectResult, "select"),
        evaluate=result(EvaluateResult, "evaluate"),
    )
