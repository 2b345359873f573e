"""The models a search may try."""

from service.model_catalog import CatalogModel
from service.stages.search_space import searched_models, space_models
from workers.specs.search import SearchSpace

CATALOG = {
    name: CatalogModel(parameters=size, parameters_per_class=0, drop_path=True, dropout=True, img_size=False)
    for name, size in {"net_b2": 30, "net_b0": 10, "net_b1": 20, "other": 15}.items()
}


def test_a_family_is_all_models_that_match_by_rising_size() -> None:
    assert searched_models(SearchSpace(family="net_b*"), CATALOG, 10, None) == ("net_b0", "net_b1", "net_b2")


def test_models_smaller_than_the_teacher_are_left_out() -> None:
    assert searched_models(SearchSpace(models=("net_b2", "other", "net_b0")), CATALOG, 10, "other") == (
        "other",
        "net_b2",
    )


def test_without_models_none_are_searched() -> None:
    assert space_models(SearchSpace(), CATALOG) == ()
