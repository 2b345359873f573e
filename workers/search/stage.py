"""Runs the search stage: runs trials in Ray Tune, then finds the winner and draws pictures of the space."""

import logging

from workers.artifact_io import join_uri
from workers.initialization.driver import forget_tensors, prepared
from workers.runtime.stage_reporter import StageError, StageReporter
from workers.search.early_stopping import scheduler
from workers.search.model_cost import measure_costs, within_limits
from workers.search.outcome import search_outcome
from workers.search.pictures import draw_pictures
from workers.search.trial_book import TrialBook
from workers.search.tuning import run_trials
from workers.specs.initialization import INITIAL_FOLDER
from workers.specs.reports import FailureReason
from workers.specs.results import SearchResult
from workers.specs.stages import SearchSpec, TrainSpec

logger = logging.getLogger(__name__)


def run_search(spec: SearchSpec, reporter: StageReporter) -> SearchResult:
    """Searches the noise and the student's size. A rerun keeps the trials that have ended in an earlier attempt.

    Raises StageError(USER_ERROR) if no model of the space is within the limits, a model cannot be built, or the weights
    to begin with cannot be had, and StageError(STAGE_ERROR) if no trial has a result.
    """
    settings = spec.settings
    reporter.announce(settings.trials, "trials")
    asked = spec.base
    spec = spec.model_copy(update={"base": _prepared(spec, asked.model, reporter)})
    models = list(dict.fromkeys([*spec.models, spec.base.model]))
    costs, excluded = within_limits(
        measure_costs(models, len(spec.base.classes), spec.base.recipe.image_size, spec.nodes.cpu_node_labels), settings
    )
    if not costs or (spec.models and not any(model in costs for model in spec.models)):
        raise StageError(
            FailureReason.USER_ERROR,
            "no model of the space is within the limits: " + "; ".join(f"{e.model}: {e.reason}" for e in excluded),
        )
    # Each model begins with weights of its own, whose configuration its recipe follows.
    others = [model for model in costs if model != asked.model]
    bases = {model: _prepared(spec.model_copy(update={"base": asked}), model, reporter) for model in others}
    reporter.begin_work()
    book = TrialBook(spec, costs, reporter, bases=bases)
    logger.info("%d of %d trials have ended before", len(book.ended), settings.trials)
    metric = "validation_corrupted_top1" if settings.objective == "corrupted_accuracy" else "validation_top1"
    workers = spec.base.workers.model_copy(update={"num_workers": settings.workers_per_trial})
    run_trials(
        book,
        spec.folder_uri,
        spec.attempt,
        spec.base.model_copy(update={"workers": workers}),
        scheduler(spec, metric, book.ended),
        settings.max_parallel,
    )
    if len(book.ended) < settings.trials:
        reporter.pause_if_asked()
    outcome = search_outcome(spec, book.ended, excluded, bases)
    for base in (spec.base, *bases.values()):
        forget_tensors(base)
    draw_pictures(spec, outcome)
    reporter.end_work()
    return SearchResult(attempt=spec.attempt, timing=reporter.timing(), outcome=outcome)


def _prepared(spec: SearchSpec, model: str, reporter: StageReporter) -> TrainSpec:
    """The base with another model, and with the weights that this begins with made ready in the search's folder."""
    base = spec.base.model_copy(update={"model": model})
    return prepared(base, reporter.still_alive, join_uri(spec.folder_uri, INITIAL_FOLDER, model))
