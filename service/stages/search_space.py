"""Finds the models that a search may try: known to timm and not smaller than the teacher, by rising size. No I/O."""

import re
from collections.abc import Mapping
from fnmatch import translate

from service.model_catalog import CatalogModel, parameters_with_head
from workers.specs.search import SearchSpace


def space_models(space: SearchSpace, catalog: Mapping[str, CatalogModel]) -> tuple[str, ...]:
    """Returns the models that the space names or that match its family; empty if the search does not vary the model."""
    if space.family is None:
        return space.models
    # Not fnmatchcase, which caches the compiled form of patterns, and users choose the patterns.
    pattern = re.compile(translate(space.family))
    return tuple(sorted(filter(pattern.match, catalog)))


def searched_models(
    space: SearchSpace,
    catalog: Mapping[str, CatalogModel],
    num_classes: int,
    teacher: str | None,
) -> tuple[str, ...]:
    """Returns the space's models with at least as many parameters as the teacher, by rising size.

    If `teacher` is None, it returns all of them.
    """

    def size(name: str) -> int:
        return parameters_with_head(catalog[name], num_classes)

    named = set(space_models(space, catalog))
    smallest = size(teacher) if teacher is not None and named else 0
    found = {name for name in named if size(name) >= smallest}
    return tuple(sorted(found, key=lambda name: (size(name), name)))
