"""What is rejected before a run starts: the arithmetic, without a database."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import InvalidRequest
from service.model_catalog import CatalogModel, load_catalog
from service.runs.checks import check_model, check_not_smaller, check_search
from service.runs.shared_images import shared_places
from workers.data.hashes import as_hash_array
from workers.specs.initialization import FileInit, Init, PretrainedInit, RandomInit, TeacherInit
from workers.specs.noise import Noise
from workers.specs.recipe import Recipe
from workers.specs.search import SearchSettings, SearchSpace

HASHES = [hashlib.blake2b(str(number).encode(), digest_size=16).digest() for number in range(12)]


@given(st.sets(st.sampled_from(HASHES)), st.sets(st.sampled_from(HASHES)))
def test_shared_images_are_counted_exactly(first: set[bytes], second: set[bytes]) -> None:
    one, other = as_hash_array(first), as_hash_array(second)
    in_one, in_other = shared_places(one, other)
    assert sorted(one[in_one].tolist()) == sorted(np.intersect1d(one, other).tolist())
    assert one[in_one].tolist() == other[in_other].tolist()


def test_a_model_that_timm_lacks_is_refused_with_close_names() -> None:
    model = CatalogModel(parameters=1, parameters_per_class=1, drop_path=True, dropout=True, img_size=False)

    with pytest.raises(InvalidRequest, match="did you mean resnet18") as caught:
        check_model("teacher_model", "resnet_18", {"resnet18": model})

    assert caught.value.field == "teacher_model"


@pytest.mark.parametrize("name", ["hf-hub:timm/resnet18.a1_in1k", "resnet18.a1_in1k"])
def test_a_name_of_weights_in_the_place_of_a_model_is_told_where_it_belongs(name: str) -> None:
    with pytest.raises(InvalidRequest, match="name the architecture here, and the weights in the recipe's init"):
        check_model("teacher_model", name, load_catalog())


def test_a_search_over_models_needs_weights_that_each_of_them_has() -> None:
    def check(init: Init, *models: str) -> None:
        search = SearchSettings(space=SearchSpace(models=models))
        recipe = Recipe(init=init, noise=Noise(drop_path=0, dropout=0))
        check_search("search", search, recipe, "resnet18", load_catalog(), num_classes=10)

    each_its_own = PretrainedInit(kind="pretrained")
    check(each_its_own, "resnet18", "resnet34")
    check(RandomInit(), "resnet18", "coatnet_0_224")
    check(FileInit(kind="file", uri="/weights.pth"))
    for init in (
        FileInit(kind="file", uri="/weights.pth"),
        PretrainedInit(kind="pretrained", name="resnet18.a1_in1k"),
        TeacherInit(kind="teacher"),
    ):
        with pytest.raises(InvalidRequest, match="other models cannot have these weights") as refused:
            check(init, "resnet18", "resnet34")
        assert refused.value.field == "search.space.models"
    with pytest.raises(InvalidRequest, match="timm has no weights for coatnet_0_224") as refused:
        check(each_its_own, "resnet18", "coatnet_0_224")
    assert refused.value.field == "search.space.models"


def test_a_students_size_counts_its_classifier() -> None:
    narrow = CatalogModel(parameters=100, parameters_per_class=1, drop_path=True, dropout=True, img_size=False)
    wide = CatalogModel(parameters=90, parameters_per_class=10, drop_path=True, dropout=True, img_size=False)
    catalog = {"narrow": narrow, "wide": wide}

    check_not_smaller("student_models.0", "wide", "narrow", catalog, num_classes=2)
    with pytest.raises(InvalidRequest, match=r"wide \(100 parameters\) is smaller than its teacher narrow \(101\)"):
        check_not_smaller("student_models.0", "wide", "narrow", catalog, num_classes=1)
