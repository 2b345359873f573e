"""What is rejected before a run starts: the arithmetic, without a database."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import InvalidRequest
from service.model_catalog import CatalogModel
from service.runs.checks import check_model, check_not_smaller
from service.runs.shared_images import shared_places
from workers.data.hashes import as_hash_array

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


def test_a_students_size_counts_its_classifier() -> None:
    narrow = CatalogModel(parameters=100, parameters_per_class=1, drop_path=True, dropout=True, img_size=False)
    wide = CatalogModel(parameters=90, parameters_per_class=10, drop_path=True, dropout=True, img_size=False)
    catalog = {"narrow": narrow, "wide": wide}

    check_not_smaller("student_models.0", "wide", "narrow", catalog, num_classes=2)
    with pytest.raises(InvalidRequest, match=r"wide \(100 parameters\) is smaller than its teacher narrow \(101\)"):
        check_not_smaller("student_models.0", "wide", "narrow", catalog, num_classes=1)
