"""What each generation of a run trains: its plan and its seed, from the run's configuration. Pure."""

import hashlib

from service.run_config import GenerationPlan, RunConfig


def generation_plans(config: RunConfig) -> list[GenerationPlan]:
    """The teacher's plan, then the students'."""
    models = config.student_models if len(config.student_models) > 1 else config.student_models * config.generations
    return [
        GenerationPlan(
            model=model,
            recipe=config.teacher_recipe if number == 0 else config.student_recipe,
            selection=config.selection,
            search=config.search if number > 0 else None,
            seed=generation_seed(config.seed, number),
        )
        for number, model in enumerate([config.teacher_model, *models[: config.generations]])
    ]


def generation_seed(seed: int, generation: int) -> int:
    """The seed of one generation: a run's generations differ, and so do neighbouring seeds' generations."""
    digest = hashlib.blake2b(f"{seed}/{generation}".encode(), digest_size=4).digest()
    return int.from_bytes(digest) >> 1
