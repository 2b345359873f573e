"""What the result of a stage tells about its images, as events: which were compared, dropped or left as they are."""

from collections.abc import Iterator

from service.config.events import EventKind
from workers.specs.results import AnyStageResult, LabelResult, SelectResult, TrainResult


def findings(result: AnyStageResult) -> Iterator[tuple[EventKind, str]]:
    """Yields the events, each with its message."""
    match result:
        case TrainResult(labeled_near_duplicates=int(near)):
            message = f"no labeled image is an evaluation image; {near:,} look like one: near_duplicates/ lists them"
            yield EventKind.IMAGES_COMPARED, message
        case LabelResult():
            yield from _of_labels(result)
        case SelectResult():
            yield from _of_selection(result)


def _of_labels(result: LabelResult) -> Iterator[tuple[EventKind, str]]:
    if result.images_reused:
        yield (
            EventKind.LABELS_REUSED,
            f"took over the labels of {result.images_reused:,} images in {result.shards_reused:,} shards from "
            f"{' and '.join(result.reused_from)}; labeled {result.images - result.images_reused:,} images",
        )
    if result.imported_labels is not None:
        yield (
            EventKind.LABELS_IMPORTED,
            f"{result.imported_labels - result.imported_unknown:,} of {result.imported_labels:,} imported labels "
            f"belong to images of the pool; {result.imported_unknown:,} name images that it lacks; "
            f"{result.without_label:,} images have no label and are left out",
        )
    check = result.leakage
    if check is None:
        return
    images = sum(one.images for one in check.sets)
    parts = [
        f"compared {result.images:,} unlabeled images with {images:,} evaluation images",
        f"{result.held_out:,} are one of them and are left out",
    ]
    missing = sum(one.missing for one in check.sets)
    if missing:
        parts.append(f"{missing:,} evaluation images could not be read and were not compared")
    if not check.near_duplicate_distance:
        parts.append("no near duplicates were looked for")
    else:
        parts.append(f"{result.near_duplicates:,} look like one of them")
        flat = sum(one.without_look for one in check.sets)
        if flat or result.without_look:
            parts.append(
                f"{result.without_look:,} unlabeled and {flat:,} evaluation images are flat or broken: compared byte "
                "for byte only"
            )
    yield EventKind.IMAGES_COMPARED, "; ".join(parts)


def _of_selection(result: SelectResult) -> Iterator[tuple[EventKind, str]]:
    if result.classes_not_filled_up:
        smallest = min((each for each in result.classes if each.kept), key=lambda each: each.copies)
        yield (
            EventKind.CLASSES_NOT_FILLED_UP,
            f"max_copies_per_image holds {result.classes_not_filled_up:,} of {len(result.classes):,} classes below the "
            f"size of the others: they lack {result.copies_lacking:,} images; {smallest.name!r} has the fewest, "
            f"{smallest.copies:,} copies of {smallest.kept:,}",
        )
    if result.near_duplicates == "drop" and (result.dropped_held_out or result.dropped_near_duplicates):
        yield (
            EventKind.IMAGES_COMPARED,
            f"dropped {result.dropped_held_out:,} evaluation images and {result.dropped_near_duplicates:,} images that "
            "look like one",
        )
