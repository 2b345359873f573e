"""Runs the ablate stage: makes the selections that variants need, then trains all of them, then makes the table."""

import logging
import time

from workers.ablation.table import ablation_lines
from workers.ablation.training_book import TrainingBook, workers_of_a_training
from workers.ablation.variants import Student, same_as, students
from workers.artifact_io import join_uri, write_bytes
from workers.initialization.driver import forget_tensors, prepared
from workers.runtime.stage_reporter import StageError, StageReporter
from workers.search.tuning import run_trials
from workers.selection.stage import run_select
from workers.specs.ablation import AblationOutcome, Variant
from workers.specs.initialization import INITIAL_FOLDER
from workers.specs.reports import FailureReason
from workers.specs.results import AblateResult
from workers.specs.stages import AblateSpec, TrainSpec, spec_name

logger = logging.getLogger(__name__)


def run_ablate(spec: AblateSpec, reporter: StageReporter) -> AblateResult:
    """Trains each variant of the student with each seed, and compares their errors (Xie et al., section 4).

    Trainings that an earlier attempt has finished are kept. A training that fails is reported, and does not end the
    ablation. Raises StageError(STAGE_ERROR) if no training of the full student finished, and StageError(USER_ERROR)
    if the weights to begin with cannot be had.
    """
    spec = spec.model_copy(update={"base": prepared(spec.base, reporter.still_alive, _initial(spec, "full"))})
    found, left_out = students(spec)
    same = same_as(found)
    distinct = {variant: student for variant, student in found.items() if same[variant] == variant}
    reporter.announce(len(distinct) * spec.settings.seeds, "trials")
    bases = {variant: _base(spec, variant, student, reporter) for variant, student in distinct.items()}
    reporter.begin_work()
    book = TrainingBook(spec, bases, _select(spec, distinct), reporter)
    logger.info("%d of %d trainings have ended before", len(book.ended), len(book.planned))
    shape = spec.base.model_copy(update={"workers": workers_of_a_training(spec.base.workers)})
    run_trials(book, spec.folder_uri, spec.attempt, shape, max_parallel=spec.settings.max_parallel)
    if len(book.ended) < len(book.planned):
        reporter.pause_if_asked()
    lines = ablation_lines(found, same, book.ended)
    if not lines:
        why = next((training.message for training in book.ended if training.message), "")
        raise StageError(FailureReason.STAGE_ERROR, f"no training of the full student finished: {why}")
    for base in bases.values():
        forget_tensors(base)
    reporter.end_work()
    outcome = AblationOutcome(
        on=spec.settings.on,
        teacher_error=spec.teacher_error,
        lines=lines,
        left_out=left_out,
        trainings=tuple(book.ended),
    )
    return AblateResult(attempt=spec.attempt, timing=reporter.timing(), outcome=outcome)


def _base(spec: AblateSpec, variant: Variant, student: Student, reporter: StageReporter) -> TrainSpec:
    """The training of a student, with its initial weights made ready: the full student's where it begins alike."""
    full = spec.base
    changes = {"model": student.model, "recipe": student.recipe}
    if (student.model, student.recipe.init) == (full.model, full.recipe.init):
        return full.model_copy(update=changes)
    uri = spec.teacher_uri if student.recipe.init.kind == "teacher" else full.initial_model_uri
    own = full.model_copy(update={**changes, "initial_model_uri": uri, "prepared": None})
    return prepared(own, reporter.still_alive, _initial(spec, variant))


def _initial(spec: AblateSpec, variant: Variant) -> str:
    return join_uri(spec.folder_uri, INITIAL_FOLDER, variant)


def _select(spec: AblateSpec, distinct: dict[Variant, Student]) -> dict[Variant, str]:
    """The selection folder of each variant: that of the generation, or one that is made here from the same labels."""
    assert spec.base.pseudo_labels is not None
    uris: dict[Variant, str] = {}
    for variant, student in distinct.items():
        if student.selection == spec.selection.settings:
            uris[variant] = spec.base.pseudo_labels.selection_uri
            continue
        uris[variant] = join_uri(spec.folder_uri, "selections", variant)
        selection = spec.selection.model_copy(
            update={"folder_uri": uris[variant], "attempt": spec.attempt, "settings": student.selection}
        )
        write_bytes(join_uri(uris[variant], spec_name(selection.attempt)), selection.model_dump_json().encode())
        run_select(selection, StageReporter(selection, time.time()))
    return uris
