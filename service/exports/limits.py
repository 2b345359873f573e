"""The limits of a model, as sentences of its card. Each follows from what was measured, or was not."""

from collections.abc import Iterator

from service.exports.facts import DescribedModel, ModelFacts
from service.exports.markdown import percent, quoted

_MOST_NAMES = 10
_FEW_IMAGES = 1000


def limits(described: DescribedModel) -> Iterator[str]:
    """Yields the sentences."""
    facts, card = described.facts, described.card
    yield (
        f"It names one of its {len(card.classes):,} classes for every image, also for one that shows none of them. "
        "A low probability is no reliable sign of that."
    )
    yield from _of_the_test(facts)
    yield from _of_optimism(facts)
    yield from _of_pseudo_labels(facts)
    if facts.evaluate is not None and facts.evaluate.robustness is None:
        yield "How it answers to blur, noise, weather and attacks was not measured."
    yield f"It was measured at {card.image_size} x {card.image_size} pixels, prepared as above; other input was not."
    if facts.model.imported_from is not None:
        yield "What it was trained on is not known: images that it has learned from may be among those that judge it."
    yield "The licenses of its training images are not on record here; they may limit its use."


def _of_the_test(facts: ModelFacts) -> Iterator[str]:
    evaluated, test = facts.evaluate, facts.dataset("test")
    if evaluated is None:
        yield "It was not measured on test images."
        return
    source = "the test images" if test is None else f"{quoted(test.name)}, its test images"
    others = f" and {len(evaluated.external)} other sets" if evaluated.external else ""
    yield f"Its accuracy is known on {source}{others}. Images from elsewhere may be harder."
    metrics = evaluated.metrics
    if metrics.images < _FEW_IMAGES:
        error = 1.96 * (metrics.top1 * (1 - metrics.top1) / max(1, metrics.images)) ** 0.5
        yield f"There are only {metrics.images:,} test images: its accuracy is known to about ± {percent(error)}."
    unseen = [name for name, accuracy in metrics.per_class.items() if accuracy is None]
    if unseen:
        yield f"{len(unseen):,} classes have no test images: {_named(unseen)}."
    known = {name: accuracy for name, accuracy in metrics.per_class.items() if accuracy is not None}
    weak = sorted((name for name in known if known[name] < metrics.top1 / 2), key=lambda name: known[name])
    if weak:
        yield f"{len(weak):,} classes are recognized less than half as often as all together: {_named(weak)}."


def _of_optimism(facts: ModelFacts) -> Iterator[str]:
    if facts.lineage.gate_on == "test":
        yield "The run's gate chose teachers by the test images, so the accuracy on them is optimistic."
    if facts.lineage.recipe.keep == "best":
        yield "The best weights by validation accuracy were kept, so the validation accuracy is optimistic."
    if facts.gate_reason is not None:
        yield f"The run's gate did not accept it as a teacher: {quoted(facts.gate_reason)}."
    near = None if facts.train is None else facts.train.labeled_near_duplicates
    if near:
        yield f"{near:,} labeled images look like an evaluation image, and were trained on."


def _of_pseudo_labels(facts: ModelFacts) -> Iterator[str]:
    if facts.model.generation == 0:
        return
    yield "It learned from labels that its teacher wrote, and with them from the teacher's mistakes."
    label, select = facts.label, facts.select
    if label is not None and label.near_duplicates_unchecked:
        unchecked = _named(list(label.near_duplicates_unchecked))
        yield f"Near duplicates of these evaluation images were not looked for among the unlabeled ones: {unchecked}."
    if label is not None and select is not None and select.near_duplicates == "keep" and label.near_duplicates:
        yield f"{label.near_duplicates:,} unlabeled images that look like an evaluation image were not left out."
    if select is not None and select.classes_not_filled_up:
        yield (
            f"{select.classes_not_filled_up:,} classes had fewer pseudo-labeled images than the others, even with "
            "repetitions."
        )


def _named(names: list[str]) -> str:
    more = f", and {len(names) - _MOST_NAMES:,} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(quoted(name) for name in names[:_MOST_NAMES]) + more
