"""Keeps the trainings of one ablation: what to train next, what came of it, and ablation.json for a rerun."""

import time
from collections.abc import Callable, Mapping

from pydantic import ValidationError

from workers.ablation.variants import training_seed
from workers.artifact_io import join_uri, read_bytes_if_there, write_bytes
from workers.runtime.stage_reporter import StageReporter
from workers.search.tuning import Training
from workers.specs.ablation import ABLATION_FILE, AblationTraining, AblationTrainings, Variant
from workers.specs.stages import AblateSpec, TrainSpec
from workers.specs.worker_group import WorkerGroup


class TrainingBook:
    """Proposes each distinct student with each seed. Not thread-safe: only the driver uses it.

    Trainings that an earlier attempt has finished are kept. `bases` has the training of each student, and
    `selection_uris` its selection.
    """

    def __init__(
        self,
        spec: AblateSpec,
        bases: Mapping[Variant, TrainSpec],
        selection_uris: Mapping[Variant, str],
        reporter: StageReporter,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._spec = spec
        self._bases = bases
        self._selection_uris = selection_uris
        self._reporter = reporter
        self._clock = clock
        # Seed by seed, so that there is a whole table after the first seed.
        self.planned = [(variant, seed) for seed in range(spec.settings.seeds) for variant in bases]
        self._trainings = read_trainings(spec)
        self._waiting = [number for number, key in enumerate(self.planned) if key not in self._ended_keys()]
        self._started_at: dict[int, float] = {}

    @property
    def ended(self) -> list[AblationTraining]:
        """The trainings that finished or failed, in the planned order."""
        found = [self._trainings.get(key) for key in self.planned]
        return [training for training in found if training is not None and training.state != "running"]

    def propose(self) -> Training | None:
        """The next training; None if all have been proposed, or the ablation must pause."""
        if not self._waiting or self._reporter.pause_requested():
            return None
        number = self._waiting.pop(0)
        variant, seed = self.planned[number]
        self._put(AblationTraining(variant=variant, seed=seed, state="running"))
        return Training(number, self._train_spec(variant, seed))

    def started(self, number: int) -> None:
        """Notes that the training runs."""
        self._started_at[number] = self._clock()

    def reported(self, number: int, step: int, values: dict[str, float]) -> None:
        """Notes how the student was judged after its last step."""
        self._change(number, top1=values["validation_top1"])

    def ended_with(self, number: int, failure: str | None) -> None:
        """Notes that the training has ended."""
        seconds = self._clock() - self._started_at.get(number, self._clock())
        self._change(number, state="failed" if failure else "finished", message=failure, seconds=seconds)

    def _train_spec(self, variant: Variant, seed: int) -> TrainSpec:
        base = self._bases[variant]
        pseudo = base.pseudo_labels
        return base.model_copy(
            update={
                "attempt": self._spec.attempt,
                "folder_uri": join_uri(self._spec.folder_uri, "trainings", f"{variant}-{seed}"),
                "seed": training_seed(self._spec.seed, seed),
                # These images judge the student once, at the end, and decide nothing in its training.
                "validation_manifest_uri": self._spec.judged_manifest_uri,
                "pseudo_labels": pseudo and pseudo.model_copy(update={"selection_uri": self._selection_uris[variant]}),
                "workers": workers_of_a_training(base.workers),
            }
        )

    def _ended_keys(self) -> set[tuple[Variant, int]]:
        return {key for key, training in self._trainings.items() if training.state == "finished"}

    def _change(self, number: int, **changes: object) -> None:
        self._put(self._trainings[self.planned[number]].model_copy(update=changes))

    def _put(self, training: AblationTraining) -> None:
        self._trainings[(training.variant, training.seed)] = training
        self._reporter.check_still_ours()
        book = AblationTrainings(attempt=self._spec.attempt, trainings=tuple(self._trainings.values()))
        write_bytes(join_uri(self._spec.folder_uri, ABLATION_FILE), book.model_dump_json().encode())
        self._reporter.update(len(self.ended))


def workers_of_a_training(group: WorkerGroup) -> WorkerGroup:
    """The fewest workers of the student's own training that can train it: one, unless they share the model."""
    return group.model_copy(update={"num_workers": group.workers_a_model_needs})


def read_trainings(spec: AblateSpec) -> dict[tuple[Variant, int], AblationTraining]:
    """The trainings of earlier attempts; empty if there are none, or they cannot be read."""
    data = read_bytes_if_there(join_uri(spec.folder_uri, ABLATION_FILE))
    if data is None:
        return {}
    try:
        trainings = AblationTrainings.model_validate_json(data).trainings
    except ValidationError:
        return {}
    return {(training.variant, training.seed): training for training in trainings}
