"""Decides which generation's student teaches another: one rule for specs, lineage, retention and the gate."""

from collections.abc import Collection, Mapping


def teacher_generation(
    generation: int,
    trained: Collection[int],
    not_promoted: Collection[int],
    chosen: Mapping[int, int | None] | None = None,
) -> int | None:
    """Returns the generation whose model teaches `generation`, or None if there is none.

    It is the one that someone has `chosen` for it, else the last before it whose model may teach. `trained` holds the
    generations that have a model; `not_promoted` holds those whose model the run's gate refused.
    """
    teacher = None if chosen is None else chosen.get(generation)
    if teacher is not None:
        return teacher if teacher in trained else None
    return max((g for g in trained if g < generation and g not in not_promoted), default=None)
