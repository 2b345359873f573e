"""The demo's final report as JSON: generations, stages with work and overhead, images labeled and kept."""

from typing import Any

from service.views.runs import GenerationView, RunView, StageView

_TIMES = ("work", "overhead", "waiting", "start", "setup", "finish", "total")


def demo_report(run: RunView, started_at: float, finished_at: float) -> dict[str, Any]:
    """The content of build/demo.json."""
    return {
        "run_id": run.id,
        "state": run.state,
        "seconds": round(finished_at - started_at, 1),
        "generations": [_generation(generation) for generation in run.generation_details],
        "stages": [_stage(stage) for generation in run.generation_details for stage in generation.stages],
        "error_reduction": error_reduction(run, run.generation_details[-1]),
    }


def _generation(generation: GenerationView) -> dict[str, Any]:
    results = {stage.name: stage.result or {} for stage in generation.stages}
    model, selection = generation.model, results.get("select", {})
    return {
        "generation": generation.number,
        "model": generation.model.model if generation.model else None,
        "parameters": model.parameters if model else None,
        "validation_accuracy": model.validation_top1 if model else None,
        "test_accuracy": model.test_top1 if model else None,
        "images_labeled": selection.get("images_labeled"),
        "images_kept": selection.get("kept"),
        "images_after_balancing": selection.get("copies"),
    }


def _stage(stage: StageView) -> dict[str, Any]:
    times = (
        {f"{name}_seconds": round(getattr(stage.times, f"{name}_seconds"), 2) for name in _TIMES} if stage.times else {}
    )
    return {
        "generation": stage.generation,
        "stage": stage.name,
        "state": stage.state,
        "attempts": len(stage.attempts),
        **times,
    }


def error_reduction(run: RunView, generation: GenerationView) -> float | None:
    """By what share the student makes fewer test errors than the first teacher; None if it cannot be computed."""
    teacher, student = run.generation_details[0].model, generation.model
    if generation.number == 0 or teacher is None or student is None:
        return None
    if teacher.test_top1 is None or student.test_top1 is None or teacher.test_top1 >= 1:
        return None
    return (student.test_top1 - teacher.test_top1) / (1 - teacher.test_top1)
