"""The metadata of a model card, as the Hugging Face Hub reads it (huggingface.co/docs/hub/model-cards)."""

from typing import Any

import yaml

from service.exports.facts import ModelFacts

_TASK = {"type": "image-classification", "name": "Image Classification"}


def card_header(facts: ModelFacts) -> str:
    """The YAML front matter, between its lines of dashes."""
    header: dict[str, Any] = {
        "library_name": "timm",
        "pipeline_tag": "image-classification",
        "tags": ["image-classification", "timm", "noisy-student"],
        "metrics": ["accuracy"],
    }
    results = _results(facts)
    if results:
        header["model-index"] = [{"name": facts.model.id, "results": results}]
    return f"---\n{yaml.safe_dump(header, sort_keys=False, allow_unicode=True)}---"


def _results(facts: ModelFacts) -> list[dict[str, Any]]:
    """What was measured, a result for each evaluation dataset."""
    evaluated = facts.evaluate
    if evaluated is None:
        return []
    measured = {"test": evaluated.metrics} | {f"external.{name}": each for name, each in evaluated.external.items()}
    results = []
    for part, metrics in measured.items():
        dataset = facts.dataset(part)
        if dataset is not None:
            figures = {
                ("accuracy", "Top-1 accuracy"): metrics.top1,
                ("accuracy", "Top-5 accuracy"): metrics.top5,
                ("expected_calibration_error", "Expected calibration error"): metrics.expected_calibration_error,
            }
            results.append(
                {
                    "task": _TASK,
                    "dataset": {"name": dataset.name, "type": dataset.id},
                    "metrics": [{"type": kind, "name": name, "value": v} for (kind, name), v in figures.items()],
                }
            )
    return results
