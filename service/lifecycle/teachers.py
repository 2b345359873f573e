"""Decides which generation's student teaches another: one rule for specs, lineage, retention and the gate."""

from collections.abc import Collection


def teacher_generation(generation: int, trained: Collection[int], not_promoted: Collection[int]) -> int | None:
    """Returns the last generation before `generation` whose model may teach, or None if there is none.

    `trained` holds the generations that have a model; `not_promoted` holds those whose model the run's gate refused.
    """
    return max((g for g in trained if g < generation and g not in not_promoted), default=None)
