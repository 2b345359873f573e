"""Generations and stages of a run, with their attempts, metrics, trials, pictures and logs."""

from typing import TYPE_CHECKING

from noisy_student.log_following import LOOK_LINES, LogPart, LogPlace, follow_log
from noisy_student.operations import Arguments, Operation, Resource, carry_out, operation
from noisy_student.pages import iterated, listing
from noisy_student.steps import Steps
from noisy_student.tables import to_dataframe
from noisy_student.transport import Way
from service.views.runs import AttemptView, GenerationView, LogTail, RunView, StageConfusion, StageMetrics, StageView
from service.views.studies import StageTrials

if TYPE_CHECKING:
    import pandas

_RUN = Operation("GET", "/runs/{run_id}", RunView)
_LOGS = Operation("GET", "/runs/{run_id}/generations/{generation}/stages/{stage}/logs", LogTail)
_LOOK_SECONDS = 30.0
"""The timeout of each look while following, so that an API that hangs is asked again."""
_STAGE = "/runs/{run_id}/generations/{generation}/stages/{stage}"


def _of(run_id: str, generation: int, stage: str) -> dict[str, str | int]:
    return {"run_id": run_id, "generation": generation, "stage": stage}


class Metrics(StageMetrics):
    """The metrics that a stage has logged."""

    def to_dataframe(self) -> "pandas.DataFrame":
        """One row per logged entry: attempt, step, at (Unix seconds), and a column per metric. Raises
        ModuleNotFoundError without pandas."""
        return to_dataframe({**row.model_dump(exclude={"values"}), **row.values} for row in self.rows)


class Trials(StageTrials):
    """The trials of a search stage."""

    def to_dataframe(self) -> "pandas.DataFrame":
        """One row per trial. Nested values get dotted column names, such as `parameters.dropout`. Raises
        ModuleNotFoundError without pandas."""
        return to_dataframe(self.trials)


class Generations(Resource[Way]):
    """Generations: the turns of a run's loop."""

    @listing("/runs/{run_id}/generations", GenerationView)
    def list(self, run_id: str, limit: int | None = None) -> Arguments:
        """Lists a run's generations with their plans, stages and models, newest first."""
        return Arguments({"run_id": run_id}, {"limit": limit})

    @operation("GET", "/runs/{run_id}/generations/{generation}", GenerationView)
    def get(self, run_id: str, generation: int) -> Arguments:
        """Returns one generation: its plan, its stages and the model that it trained."""
        return Arguments({"run_id": run_id, "generation": generation})


class Stages(Resource[Way]):
    """A stage is found by its run, its generation and its name: label, select, search, train, evaluate."""

    @listing("/runs/{run_id}/stages", StageView)
    def list(self, run_id: str, limit: int | None = None) -> Arguments:
        """Lists the stages of all generations, newest first."""
        return Arguments({"run_id": run_id}, {"limit": limit})

    @operation("GET", _STAGE, StageView)
    def get(self, run_id: str, generation: int, stage: str) -> Arguments:
        """Returns one stage: state, attempts and progress, and, once it has succeeded, its result and where the time
        went."""
        return Arguments(_of(run_id, generation, stage))

    @listing(f"{_STAGE}/attempts", AttemptView)
    def attempts(self, run_id: str, generation: int, stage: str, limit: int | None = None) -> Arguments:
        """Lists a stage's attempts, each of which is one Ray job, newest first."""
        return Arguments(_of(run_id, generation, stage), {"limit": limit})

    @operation("GET", f"{_STAGE}/attempts/{{attempt}}", AttemptView)
    def attempt(self, run_id: str, generation: int, stage: str, attempt: int) -> Arguments:
        """Returns one attempt of a stage."""
        return Arguments({**_of(run_id, generation, stage), "attempt": attempt})

    @operation("GET", f"{_STAGE}/metrics", Metrics)
    def metrics(self, run_id: str, generation: int, stage: str) -> Arguments:
        """Returns a stage's metrics, ordered by attempt and step: loss, accuracy, images per second."""
        return Arguments(_of(run_id, generation, stage))

    @operation("GET", f"{_STAGE}/confusion", StageConfusion)
    def confusion(self, run_id: str, generation: int, stage: str) -> Arguments:
        """Returns which classes the model of an evaluate stage confuses: on the test set, in the pseudo labels, and on
        external sets."""
        return Arguments(_of(run_id, generation, stage))

    @operation("GET", "/runs/{run_id}/generations/{generation}/stages/search/trials", Trials)
    def trials(self, run_id: str, generation: int) -> Arguments:
        """Returns the current trials of the generation's search: parameters, curve, state and cost."""
        return Arguments({"run_id": run_id, "generation": generation})

    @operation("GET", f"{_STAGE}/pictures/{{name}}", bytes)
    def picture(self, run_id: str, generation: int, stage: str, name: str) -> Arguments:
        """Returns an SVG document that the stage has drawn, such as `reliability.svg`."""
        return Arguments({**_of(run_id, generation, stage), "name": name})

    @operation("GET", f"{_STAGE}/logs", LogTail)
    def logs(
        self, run_id: str, generation: int, stage: str, attempt: int | None = None, lines: int | None = None
    ) -> Arguments:
        """Returns the last lines of an attempt's log; of the latest attempt if `attempt` is None. If there are none,
        `note` says why."""
        return Arguments(_of(run_id, generation, stage), {"attempt": attempt, "lines": lines})

    @iterated(LogPart)
    def follow_logs(
        self,
        run_id: str,
        generation: int | None = None,
        stage: str | None = None,
        attempt: int | None = None,
        *,
        lines: int = 200,
    ) -> Steps[None]:
        """Yields the last lines of the latest attempt's log and those that follow, then the logs of later attempts and
        stages, until the run has ended; those of one generation, stage or attempt if given. If the API restarts
        meanwhile, it continues."""

        def look_at_log(generation: int, stage: str, attempt: int) -> Steps[LogTail]:
            arguments = Arguments(_of(run_id, generation, stage), {"attempt": attempt, "lines": LOOK_LINES})
            return carry_out(self._way, _LOGS, arguments, _LOOK_SECONDS)

        def look_at_run() -> Steps[RunView]:
            return carry_out(self._way, _RUN, Arguments({"run_id": run_id}), _LOOK_SECONDS)

        wanted = LogPlace(generation, stage, attempt)
        return follow_log(self._way.connection, look_at_run, look_at_log, wanted, lines)
