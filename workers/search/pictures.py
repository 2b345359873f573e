"""Draws two pictures of a search: the objective over RandAugment's n and m, and against the student's cost."""

import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from workers.artifact_io import join_uri, write_bytes
from workers.specs.search import COST_FILE, HEAT_MAP_FILE, SearchOutcome, Trial
from workers.specs.stages import SearchSpec

if TYPE_CHECKING:
    from matplotlib.axes import Axes  # matplotlib is imported where something is drawn

_OBJECTIVES = {"accuracy": "validation accuracy", "corrupted_accuracy": "validation accuracy under corruption"}


def draw_pictures(spec: SearchSpec, outcome: SearchOutcome) -> None:
    """Writes both pictures as SVG to the stage's folder."""
    name = _OBJECTIVES[spec.settings.objective]
    write_bytes(join_uri(spec.folder_uri, HEAT_MAP_FILE), _svg(_draw_heat_map, outcome, name))
    write_bytes(join_uri(spec.folder_uri, COST_FILE), _svg(_draw_cost, outcome, name))


def heat_map(trials: tuple[Trial, ...]) -> tuple[list[int], list[int], npt.NDArray[np.float64]]:
    """The values of n, those of m, and the best objective of any trial at each pair, (n, m); NaN if there was none.

    Trials that were stopped early count with what they had reached.
    """
    seen = [
        (t.parameters.rand_augment_n, t.parameters.rand_augment_m, t.objective)
        for t in trials
        if t.objective is not None
        and t.parameters.rand_augment_n is not None
        and t.parameters.rand_augment_m is not None
    ]
    rows = sorted({n for n, _, _ in seen if n is not None})
    columns = sorted({m for _, m, _ in seen if m is not None})
    best = np.full((len(rows), len(columns)), np.nan)
    for n, m, objective in seen:
        place = rows.index(n or 0), columns.index(m or 0)
        best[place] = np.nanmax([best[place], objective])
    return rows, columns, best


def _svg(draw: Callable[["Axes", SearchOutcome, str], None], outcome: SearchOutcome, name: str) -> bytes:
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    FigureCanvasSVG(figure)
    draw(figure.add_subplot(), outcome, name)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def _draw_heat_map(axes: "Axes", outcome: SearchOutcome, name: str) -> None:
    rows, columns, best = heat_map(outcome.trials)
    axes.set_title("RandAugment: best objective at each (n, m)", loc="left")
    scale = next((trial.parameters.rand_augment_scale for trial in outcome.trials), "torchvision")
    axes.set_xlabel(f"magnitude m ({scale} scale)")
    axes.set_ylabel("operations n")
    if not rows:
        axes.text(0.5, 0.5, "no trial had RandAugment", ha="center", transform=axes.transAxes)
        return
    image = axes.imshow(best, cmap="viridis", aspect="auto", origin="lower")
    axes.set_xticks(range(len(columns)), [str(m) for m in columns])
    axes.set_yticks(range(len(rows)), [str(n) for n in rows])
    middle = (np.nanmin(best) + np.nanmax(best)) / 2
    for (row, column), value in np.ndenumerate(best):
        if np.isfinite(value):
            axes.text(column, row, f"{100 * value:.1f}", ha="center", va="center", color="k" if value > middle else "w")
    axes.figure.colorbar(image, ax=axes, label=name)


def _draw_cost(axes: "Axes", outcome: SearchOutcome, name: str) -> None:
    front = [trial for number in outcome.pareto_front for trial in outcome.trials if trial.number == number]
    for state, marker, colour in (("finished", "o", "tab:blue"), ("pruned", "x", "tab:gray")):
        trials = [trial for trial in outcome.trials if trial.state == state and trial.objective is not None]
        if trials:
            axes.scatter(*_points(trials), marker=marker, color=colour, label=state)
    axes.plot(*_points(front), color="tab:orange", label="Pareto front")
    best = next(trial for trial in outcome.trials if trial.number == outcome.best_trial)
    axes.annotate(
        f"trial {best.number}: {best.parameters.model}",
        (best.model_parameters, best.objective or 0.0),
        textcoords="offset points",
        xytext=(0, 8),
        ha="center",
    )
    axes.margins(0.15)
    axes.set_title("Accuracy against parameters", loc="left")
    axes.set_xlabel("parameters of the student")
    axes.set_ylabel(name)
    axes.legend(loc="best")


def _points(trials: Sequence[Trial]) -> tuple[list[int], list[float]]:
    """Parameters and objectives of the trials that have an objective."""
    judged = [(trial.model_parameters, trial.objective) for trial in trials if trial.objective is not None]
    return [parameters for parameters, _ in judged], [objective for _, objective in judged]
