"""Times labeling and the work of the evaluate stage with freshly initialised models. Lives in an actor."""

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from workers.artifact_io import join_uri, list_files
from workers.data.shards.shard_readers import ShardImages, load_manifest, read_shard
from workers.evaluation.robustness_probe import RobustnessProbe
from workers.evaluation.work_items import Kind, WorkItem
from workers.labeling.shard_labeler import ShardLabeler
from workers.measuring.sampled_run import SampledRun
from workers.models.create import BATCH_NORMS, create_model
from workers.models.device import allotted_device
from workers.models.files import model_card, write_model
from workers.models.predictor import Predictor
from workers.specs.measure import CleanMeasurement
from workers.specs.model_card import WEIGHTS_FILE
from workers.specs.stages import TrainSpec, part_name

_FIRST_IMAGES = 16
_PICTURES_FOR_STATISTICS = 16


class CleanProbe:
    """Measures the models of students, one after another."""

    def __init__(self, run: SampledRun) -> None:
        self._run = run
        self._shard = read_shard(load_manifest(run.to_label_uri), 0)
        self._test_shard = read_shard(load_manifest(run.test_uri), 0)

    def __call__(self, student: int) -> bytes:
        """Measures one student's model. Returns a CleanMeasurement as JSON."""
        folder_uri = join_uri(self._run.folder_uri, f"clean-{uuid.uuid4().hex[:12]}")
        write_fresh_model(self._run.train_spec(student, folder_uri), folder_uri)
        spec = self._run.label_spec(folder_uri)
        started_at = time.perf_counter()
        labeler = ShardLabeler(spec)
        load_seconds = time.perf_counter() - started_at

        seconds, shard = self._run.spec.sample_seconds, self._shard
        labeling = steady(lambda images: labeler.label(0, [_first(shard, images)]), len(shard.images), seconds)
        written_bytes = list_files(spec.folder_uri)[part_name(0)]
        looking = steady(
            lambda images: labeler.predictor.predict(shard.images[:images]), len(shard.images), seconds / 2
        )
        return (
            CleanMeasurement(
                images=labeling.images,
                load_seconds=load_seconds,
                predict_seconds=looking.seconds_an_image,
                write_seconds=max(0.0, labeling.seconds_an_image - looking.seconds_an_image),
                views_seconds=None if self._run.spec.further_teachers else self._views_seconds(folder_uri),
                label_bytes=written_bytes / labeling.last_images,
                corruption_seconds=self._robustness("corruptions", labeler.predictor),
                stability_seconds=self._robustness("stability", labeler.predictor),
                adversarial_seconds=self._robustness("adversarial", labeler.predictor),
                **self._together(folder_uri),
            )
            .model_dump_json()
            .encode()
        )

    def _views_seconds(self, folder_uri: str) -> float | None:
        """The seconds to decode an image and predict all its views; None if labeling takes a single view."""
        return None if self._run.spec.views.count == 1 else self._labeling_seconds(self._labeling_predictor(folder_uri))

    def _together(self, folder_uri: str) -> dict[str, float]:
        """What the run's further teachers take together with the model; nothing if it has none."""
        teachers = self._run.spec.further_teachers
        if not teachers:
            return {}
        started_at = time.perf_counter()
        predictor = self._labeling_predictor(folder_uri)
        return {
            "together_load_seconds": time.perf_counter() - started_at,
            "together_seconds": self._labeling_seconds(predictor),
            "further_bytes": float(sum(list_files(each.uri)[WEIGHTS_FILE] for each in teachers)),
        }

    def _labeling_predictor(self, folder_uri: str) -> Predictor:
        spec = self._run.spec
        device, cpus = allotted_device(spec.pool.gpus), spec.pool.cpus_per_actor
        further = [each.uri for each in spec.further_teachers]
        return Predictor(folder_uri, device, cpus, spec.batch_size, views=spec.views, further=further)

    def _labeling_seconds(self, predictor: Predictor) -> float:
        images, seconds = self._shard.images, self._run.spec.sample_seconds
        return steady(lambda count: predictor.predict(images[:count]), len(images), seconds).seconds_an_image

    def _robustness(self, kind: Kind, predictor: Predictor) -> float | None:
        """The seconds for one sampled image; None if the run does not ask for this table."""
        settings = self._run.spec.robustness
        if settings is None or getattr(settings, kind) is None:
            return None
        probe, shard = RobustnessProbe(predictor, settings, "sample"), self._test_shard

        def probed(images: int) -> None:
            probe.probe(WorkItem(kind, 0, 0, tuple(range(images))), _first(shard, images))

        return steady(probed, len(shard.images), self._run.spec.sample_seconds / 2, first_images=1).seconds_an_image


@dataclass(frozen=True)
class Steady:
    """What some work takes once it has warmed up."""

    images: int
    seconds_an_image: float
    last_images: int
    """The images of the last round."""


def steady(
    work: Callable[[int], object],
    most_images: int,
    seconds: float,
    first_images: int = _FIRST_IMAGES,
    clock: Callable[[], float] = time.perf_counter,
) -> Steady:
    """Times `work` in rounds for about `seconds` seconds. Each round has twice the images of the last, up to all.

    The first round only warms up. Of the others, those count that make up the later half of the time.
    """
    images = min(first_images, most_images)
    rounds: list[tuple[int, float]] = []
    spent = 0.0
    while spent < seconds or len(rounds) < 2:
        started_at = clock()
        work(images)
        rounds.append((images, clock() - started_at))
        spent += rounds[-1][1]
        images = min(2 * images, most_images)
    counted = [rounds.pop()]
    last_images = counted[0][0]
    while len(rounds) > 1 and sum(took for _, took in counted) < spent / 2:
        counted.append(rounds.pop())
    total = sum(count for count, _ in counted)
    return Steady(total, sum(took for _, took in counted) / total, last_images)


def write_fresh_model(spec: TrainSpec, folder_uri: str) -> None:
    """A model as `spec` would leave it, but untrained; the statistics of its batch norms are those of random pictures.

    Without them the answers of a deep network may overflow.
    """
    torch.manual_seed(spec.seed)
    size = spec.recipe.test_image_size
    model = create_model(spec.model, len(spec.classes), size, dropout=0.0, drop_path=0.0)
    for layer in model.modules():
        if isinstance(layer, BATCH_NORMS):
            layer.momentum = 1.0  # of the newest batch alone
    with torch.no_grad():
        model(torch.randn(_PICTURES_FOR_STATISTICS, 3, size, size))
    recipe = spec.recipe.model_copy(update={"image_size": size, "resolution_step": None})
    card = model_card(spec.model_copy(update={"recipe": recipe}), model)
    write_model(folder_uri, model.state_dict(), card)


def _first(shard: ShardImages, images: int) -> ShardImages:
    labels = None if shard.labels is None else shard.labels[:images]
    return replace(shard, keys=shard.keys[:images], images=shard.images[:images], labels=labels)
