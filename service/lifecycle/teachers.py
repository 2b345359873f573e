"""Whose student teaches a generation: one rule for specs, lineage, retention and the gate."""

from collections.abc import Collection


def teacher_generation(generation: int, trained: Collection[int], not_promoted: Collection[int]) -> int | None:
    """Returns the last generation before `generation` whose model may teach, or None where there is none.

    `trained` are the generations that have a model, `not_promoted` those whose model the run's gate refused.
    """
    return max((g for g in trained if g < generation and g not in not_promoted), default=None)
