"""Which tests share a process of `pytest -n`."""

from pathlib import Path

from tests import spreading
from tests.spreading import scope_of


def test_the_end_to_end_tests_have_two_stacks_and_all_others_go_where_there_is_room() -> None:
    assert scope_of("tests/end_to_end/test_faults.py::test_a") == scope_of("tests/end_to_end/test_access.py::test_b")
    assert scope_of("tests/end_to_end/test_studies.py::test_a") == scope_of("tests/end_to_end/test_whole_loop.py::b")
    assert scope_of("tests/end_to_end/test_faults.py::test_a") != scope_of("tests/end_to_end/test_studies.py::test_a")
    assert scope_of("tests/api/test_x.py::test_a") != scope_of("tests/api/test_x.py::test_b")


def test_the_tests_of_one_file_share_the_cluster_that_it_starts() -> None:
    for file in ("tests/rehearsal/test_x.py", "tests/workers/runtime/test_placement_on_ray.py"):
        assert scope_of(f"{file}::test_a") == scope_of(f"{file}::test_b")
    assert scope_of("tests/rehearsal/test_x.py::test_a") != scope_of("tests/rehearsal/test_y.py::test_a")


def test_the_files_that_are_named_are_there() -> None:
    root = Path(__file__).parents[1]
    named = (*(f"tests/end_to_end/{name}.py" for name in spreading._ROUGH), *spreading._ONE_CLUSTER)
    assert [name for name in named if not (root / name).exists()] == []
