"""The model card, README.md of a model's folder: data, recipe, lineage, accuracy, robustness, calibration, limits."""

from collections.abc import Iterator

import yaml

from service.exports.card_header import card_header
from service.exports.facts import DescribedModel, ModelFacts
from service.exports.limits import limits
from service.exports.markdown import bullets, fenced, percent, quoted, table
from service.views.lineage import Lineage, StageLineage
from workers.specs.results import Metrics
from workers.specs.stages import StageName

README_FILE = "README.md"
_MOST_CLASSES = 50
"""A card lists classes up to this number; config.json has them all."""
_USE = """
import timm

model = timm.create_model("local-dir:FOLDER", pretrained=True).eval()  # FOLDER: where this file is
prepare = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
probabilities = model(prepare(picture).unsqueeze(0)).softmax(1)[0]  # picture: a PIL image, in RGB
print(model.pretrained_cfg["label_names"][probabilities.argmax()])
"""
_PURPOSES = {
    "labeled": "training, with its labels",
    "unlabeled": "training, with the teacher's labels",
    "validation": "choices during training and by the gate",
    "test": "the final measurement",
    "check": "labeled by the model before it was registered",
    "pseudo_label_truth": "true labels of the unlabeled images, to measure the teacher's",
}


def model_card_text(described: DescribedModel) -> str:
    """The whole card."""
    facts = described.facts
    sections = {
        "Use": _use(described),
        "Data": _data(facts),
        "Training": _training(facts),
        "Lineage": _lineage(facts),
        "Accuracy": _accuracy(facts),
        "Robustness": _robustness(facts),
        "Calibration": _calibration(facts),
        "Limits": bullets(limits(described)),
    }
    body = "\n\n".join(f"## {title}\n\n{text}" for title, text in sections.items())
    return f"{card_header(facts)}\n\n# {facts.model.id}\n\n{_summary(described)}\n\n{body}\n"


def _summary(described: DescribedModel) -> str:
    facts, classes = described.facts, len(described.card.classes)
    what = (
        f"A {quoted(facts.model.model)} of {facts.model.parameters:,} parameters that sorts images into {classes:,} "
        "classes"
    )
    if facts.model.imported_from is not None:
        return f"{what}, imported from {quoted(facts.model.imported_from)}. It was not trained by this service."
    how = (
        "trained on labeled images alone: the first teacher"
        if facts.model.generation == 0
        else f"the student of generation {facts.model.generation}"
    )
    return (
        f"{what}, {how} of the run {quoted(facts.run_name)}. It was trained by Noisy Student Training "
        "([Xie et al. 2019](https://arxiv.org/abs/1911.04252))."
    )


def _use(described: DescribedModel) -> str:
    card = described.card
    crop = (
        "the whole picture is resized, whatever its shape"
        if card.crop == "none"
        else f"centre crop, {card.crop_fraction:.4g} of the resized short side"
    )
    rows = [
        ("size", f"{card.image_size} x {card.image_size} pixels"),
        ("crop", crop),
        ("interpolation", card.interpolation),
        ("mean", ", ".join(f"{value:g}" for value in card.mean)),
        ("standard deviation", ", ".join(f"{value:g}" for value in card.std)),
    ]
    named = ", ".join(quoted(name) for name in card.classes[:_MOST_CLASSES])
    more = f", and {len(card.classes) - _MOST_CLASSES:,} more" if len(card.classes) > _MOST_CLASSES else ""
    classes = f"Classes, in the order of the outputs (`config.json` has them all): {named}{more}."
    return "\n\n".join([fenced(_USE.strip(), "python"), table(("input", ""), rows), classes])


def _data(facts: ModelFacts) -> str:
    rows = [
        (
            each.part,
            quoted(each.name),
            f"{each.rows:,}",
            _PURPOSES.get("unlabeled" if each.part.startswith("unlabeled.") else each.part, "another measurement"),
            f"`{each.digest[:16]}` of the {each.digest_of}" if each.digest else "-",
        )
        for each in facts.lineage.datasets
        if facts.model.generation > 0 or each.part not in ("unlabeled", "pseudo_label_truth")
    ]
    return "\n\n".join([table(("part", "dataset", "images", "used for", "digest"), rows), *_pseudo_labels(facts)])


def _pseudo_labels(facts: ModelFacts) -> Iterator[str]:
    """How many of the unlabeled images the student learned from, and what was left out."""
    label, select = facts.label, facts.select
    if label is not None:
        who = "The teacher" if label.imported_labels is None else "An imported table of labels"
        yield (
            f"{who} labeled {label.labeled:,} of {label.images:,} unlabeled images ({label.bad_images:,} are "
            f"broken), with a mean confidence of {label.mean_confidence:.3f}. {label.held_out:,} equal an evaluation "
            f"image and were left out; {label.near_duplicates:,} look like one."
        )
    if select is not None:
        yield (
            f"The student learned from {select.kept:,} of them, {select.copies:,} with repetitions: "
            f"{select.dropped_low_confidence:,} were left out for low confidence, {select.dropped_over_cap:,} because "
            f"their class was full, {select.dropped_near_duplicates:,} near duplicates of evaluation images, and "
            f"{select.dropped_duplicates:,} duplicates."
        )
        if (marks := select.marks) is not None:
            yield (
                f"People had looked at {marks.marks:,} of the images. {marks.given:,} have the class that they gave, "
                f"{marks.changed:,} of these another one than the teacher's; {marks.wrong:,} were left out because the "
                "teacher's label was marked as wrong."
            )


def _training(facts: ModelFacts) -> str:
    lineage = facts.lineage
    if facts.model.imported_from is not None:
        return "It was trained elsewhere; neither its images nor its recipe are on record here."
    parts = [f"Seed {lineage.seed}. The recipe as trained:", _as_yaml(lineage.recipe.model_dump(mode="json"))]
    if lineage.selection is not None:
        parts += ["The selection of pseudo labels:", _as_yaml(lineage.selection.model_dump(mode="json"))]
    if facts.train is not None:
        parts.append(
            f"{facts.train.steps:,} steps over {facts.train.images_seen:,} images; the last loss was "
            f"{facts.train.final_loss:.4g}. {facts.train.bad_images:,} labeled or validation images were broken."
        )
    return "\n\n".join(parts)


def _as_yaml(value: object) -> str:
    return fenced(yaml.safe_dump(value, sort_keys=False, allow_unicode=True), "yaml")


def _lineage(facts: ModelFacts) -> str:
    """One line for the model and each of its teachers."""
    rows = [
        (
            str(each.generation),
            quoted(each.model_id),
            quoted(each.model),
            str(each.seed),
            _began_with(each),
            _learned_from(each),
            *_software(each.stages, "train" if each.imported_from is None else "verify"),
        )
        for each in facts.lineage.line()
    ]
    head = ("generation", "model", "architecture", "seed", "began with", "learned from", "code", "torch", "timm")
    if facts.lineage.run_config is None:
        return table(head, rows)
    again = "\n".join(
        (
            f"noisy-student models lineage {facts.model.id} --run-config > again.json",
            "noisy-student runs create -f again.json",
        )
    )
    return "\n\n".join(
        [
            table(head, rows),
            "To train it again, and its teachers unless its run was given one:"
            if facts.lineage.run_config.teacher is not None
            else "To train it and its teachers again:",
            fenced(again, "sh"),
        ]
    )


def _learned_from(lineage: Lineage) -> str:
    if lineage.imported_from is not None:
        return "unknown"
    if lineage.teacher_id is None:
        return "labeled images alone"
    teachers = (lineage.teacher_id, *lineage.further_teachers)
    return f"labels of {', '.join(quoted(each) for each in teachers)}"


def _began_with(lineage: Lineage) -> str:
    weights = lineage.initial_weights
    if weights is None:
        return "random weights"
    digest = "" if weights.digest is None else f", SHA-256 `{weights.digest[:16]}`"
    return f"{quoted(weights.source)}{digest}"


def _software(stages: list[StageLineage], name: StageName) -> tuple[str, str, str]:
    found = next((each.environment for each in stages if each.name == name and each.environment is not None), None)
    if found is None:
        return "-", "-", "-"
    return f"`{found.code.source_digest[:12]}`", found.packages.get("torch", "-"), found.packages.get("timm", "-")


def _accuracy(facts: ModelFacts) -> str:
    evaluated = facts.evaluate
    if facts.model.imported_from is not None:
        known = facts.model.validation_top1
        found = "was not measured" if known is None else f"is {percent(known)} (top-1)"
        return f"On the images of the check its accuracy {found}. Whether it was trained on them is not known."
    if evaluated is None:
        return f"Validation: {percent(facts.model.validation_top1)} (top-1). The test images were not evaluated."
    measured: dict[str, Metrics] = {"test": evaluated.metrics} | {
        f"external: {quoted(name)}": metrics for name, metrics in evaluated.external.items()
    }
    rows = [("validation", "-", percent(facts.model.validation_top1), "-")]
    rows += [(n, f"{each.images:,}", percent(each.top1), percent(each.top5)) for n, each in measured.items()]
    parts = [table(("images of", "images", "top-1", "top-5"), rows)]
    if evaluated.pseudo_labels is not None:
        parts.append(f"Of the labels that its teacher wrote, {percent(evaluated.pseudo_labels.top1)} are right.")
    by_class = sorted(
        ((accuracy, name) for name, accuracy in evaluated.metrics.per_class.items() if accuracy is not None)
    )
    shown_classes = by_class if len(by_class) <= _MOST_CLASSES else by_class[:10]
    which = "By class" if shown_classes is by_class else "The ten weakest classes"
    parts += [
        f"{which}, on the test images:",
        table(("class", "accuracy"), [(quoted(name), percent(accuracy)) for accuracy, name in shown_classes]),
    ]
    return "\n\n".join(parts)


def _robustness(facts: ModelFacts) -> str:
    found = None if facts.evaluate is None else facts.evaluate.robustness
    if found is None:
        return "Not measured. `evaluation.robustness` of a run measures it."
    parts = [f"Relative to {quoted(found.reference)}, on test images; lower is better for mCE and mFR."]
    rows: list[tuple[str, str]] = []
    if found.corruptions is not None:
        severities = ", ".join(map(str, found.corruptions.severities))
        rows.append((f"mCE, severities {severities}", f"{found.corruptions.mean_corruption_error:.1f} %"))
    if found.stability is not None:
        rows.append(("mFR", f"{found.stability.mean_flip_rate:.1f} %"))
    if found.adversarial is not None:
        rows.append(("accuracy without an attack", percent(found.adversarial.clean_top1)))
        rows += [
            (f"accuracy under {each.attack.upper()}, epsilon {each.epsilon:g} of 255", percent(each.top1))
            for each in found.adversarial.attacks
        ]
    return "\n\n".join([*parts, table(("measurement", "value"), rows)])


def _calibration(facts: ModelFacts) -> str:
    parts = []
    if facts.evaluate is None:
        parts.append("Not measured.")
    else:
        error = facts.evaluate.metrics.expected_calibration_error
        parts.append(
            f"The expected calibration error is {error:.4f} on the test images, over 15 bins of equal width "
            "(Guo et al. 2017), at temperature 1."
        )
    fitted = None if facts.label is None else facts.label.calibration
    if fitted is not None:
        parts.append(
            f"Its teacher's confidence was calibrated before it labeled: temperature {fitted.temperature:.3f}, "
            f"calibration error {fitted.error_before:.4f} before and {fitted.error_after:.4f} after, on "
            f"{fitted.images:,} validation images."
        )
    return "\n\n".join(parts)
