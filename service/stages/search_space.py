"""The models that a search may try: known to timm, not smaller than the teacher, by rising size. Pure."""

import re
from collections.abc import Mapping
from fnmatch import translate

from service.model_catalog import CatalogModel, parameters_with_head
from workers.specs.search import SearchSpace


def space_models(space: SearchSpace, catalog: Mapping[str, CatalogModel]) -> tuple[str, ...]:
    """The models that the space names, or that match its family; empty where models are not searched."""
    if space.family is None:
        return space.models
    # Not by fnmatchcase: it keeps what it has made of every pattern that anybody has ever sent.
    pattern = re.compile(translate(space.family))
    return tuple(sorted(filter(pattern.match, catalog)))


def searched_models(
    space: SearchSpace,
    catalog: Mapping[str, CatalogModel],
    num_classes: int,
    teacher: str | None,
) -> tuple[str, ...]:
    """Those of the space that have at least the teacher's parameters, by rising size; all where `teacher` is None."""

    def size(name: str) -> int:
        return parameters_with_head(catalog[name], num_classes)

    named = set(space_models(space, catalog))
    smallest = size(teacher) if teacher is not None and named else 0
    found = {name for name in named if size(name) >= smallest}
    return tuple(sorted(found, key=lambda name: (size(name), name)))
