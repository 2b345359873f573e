"""Generations and stages of a run: attempts, metrics, trials, pictures and logs."""

from typing import TYPE_CHECKING

from noisy_student.operations import Arguments, Resource, operation
from noisy_student.pages import listing
from noisy_student.tables import to_dataframe
from noisy_student.transport import Way
from service.views.runs import AttemptView, GenerationView, LogTail, StageConfusion, StageMetrics, StageView
from service.views.studies import StageTrials

if TYPE_CHECKING:
    import pandas

_STAGE = "/runs/{run_id}/generations/{generation}/stages/{stage}"


def _of(run_id: str, generation: int, stage: str) -> dict[str, str | int]:
    return {"run_id": run_id, "generation": generation, "stage": stage}


class Metrics(StageMetrics):
    """What a stage has logged."""

    def to_dataframe(self) -> "pandas.DataFrame":
        """A row each time that something was logged: attempt, step, at (Unix seconds), and a column for each name.
        Raises ModuleNotFoundError without pandas."""
        return to_dataframe({**row.model_dump(exclude={"values"}), **row.values} for row in self.rows)


class Trials(StageTrials):
    """What a search stage has tried."""

    def to_dataframe(self) -> "pandas.DataFrame":
        """A row a trial; what is nested gets dotted names, as `parameters.dropout`. Raises ModuleNotFoundError without
        pandas."""
        return to_dataframe(self.trials)


class Generations(Resource[Way]):
    """The turns of a run's loop."""

    @listing("/runs/{run_id}/generations", GenerationView)
    def list(self, run_id: str, limit: int | None = None) -> Arguments:
        """A run's generations with their plans, stages and models, the newest first."""
        return Arguments({"run_id": run_id}, {"limit": limit})

    @operation("GET", "/runs/{run_id}/generations/{generation}", GenerationView)
    def get(self, run_id: str, generation: int) -> Arguments:
        """One generation: its plan, its stages and the model it gave."""
        return Arguments({"run_id": run_id, "generation": generation})


class Stages(Resource[Way]):
    """A stage is found by its run, its generation and its name: label, select, search, train, evaluate."""

    @listing("/runs/{run_id}/stages", StageView)
    def list(self, run_id: str, limit: int | None = None) -> Arguments:
        """The stages of all generations, the newest first."""
        return Arguments({"run_id": run_id}, {"limit": limit})

    @operation("GET", _STAGE, StageView)
    def get(self, run_id: str, generation: int, stage: str) -> Arguments:
        """State, attempts, progress, and once it has succeeded its result and where the time went."""
        return Arguments(_of(run_id, generation, stage))

    @listing(f"{_STAGE}/attempts", AttemptView)
    def attempts(self, run_id: str, generation: int, stage: str, limit: int | None = None) -> Arguments:
        """Each attempt is one Ray job, the newest first."""
        return Arguments(_of(run_id, generation, stage), {"limit": limit})

    @operation("GET", f"{_STAGE}/attempts/{{attempt}}", AttemptView)
    def attempt(self, run_id: str, generation: int, stage: str, attempt: int) -> Arguments:
        """One attempt of a stage."""
        return Arguments({**_of(run_id, generation, stage), "attempt": attempt})

    @operation("GET", f"{_STAGE}/metrics", Metrics)
    def metrics(self, run_id: str, generation: int, stage: str) -> Arguments:
        """What the stage has logged, in order of attempt and step: loss, accuracy, images a second."""
        return Arguments(_of(run_id, generation, stage))

    @operation("GET", f"{_STAGE}/confusion", StageConfusion)
    def confusion(self, run_id: str, generation: int, stage: str) -> Arguments:
        """Which classes an evaluate stage's model takes for which: of the test set, of pseudo labels, of external
        sets."""
        return Arguments(_of(run_id, generation, stage))

    @operation("GET", "/runs/{run_id}/generations/{generation}/stages/search/trials", Trials)
    def trials(self, run_id: str, generation: int) -> Arguments:
        """The trials of the generation's search as they are now: parameters, curve, state and cost."""
        return Arguments({"run_id": run_id, "generation": generation})

    @operation("GET", f"{_STAGE}/pictures/{{name}}", bytes)
    def picture(self, run_id: str, generation: int, stage: str, name: str) -> Arguments:
        """An SVG document that the stage has drawn, `reliability.svg` for instance."""
        return Arguments({**_of(run_id, generation, stage), "name": name})

    @operation("GET", f"{_STAGE}/logs", LogTail)
    def logs(
        self, run_id: str, generation: int, stage: str, attempt: int | None = None, lines: int | None = None
    ) -> Arguments:
        """The last lines of an attempt's log, the latest attempt's where `attempt` is None; `note` says why there are
        none."""
        return Arguments(_of(run_id, generation, stage), {"attempt": attempt, "lines": lines})
