"""Which tests share a process of `pytest -n`."""

from pathlib import Path

from tests import spreading
from tests.spreading import scope_of


def test_the_end_to_end_tests_have_two_stacks_and_all_others_go_where_there_is_room() -> None:
    assert scope_of("tests/end_to_end/test_faults.py::test_a") == scope_of("tests/end_to_end/test_access.py::test_b")
    assert scope_of("tests/end_to_end/test_studies.py::test_a") == scope_of("tests/end_to_end/test_whole_loop.py::b")
    assert scope_of("tests/end_to_end/test_faults.py::test_a") != scope_of("tests/end_to_end/test_studies.py::test_a")
    assert scope_of("tests/api/test_x.py::test_a") != scope_of("tests/api/test_x.py::test_b")


def test_the_tests_of_one_rehearsal_share_its_cluster() -> None:
    assert scope_of("tests/rehearsal/test_x.py::test_a") == scope_of("tests/rehearsal/test_x.py::test_b")
    assert scope_of("tests/rehearsal/test_x.py::test_a") != scope_of("tests/rehearsal/test_y.py::test_a")


def test_the_files_that_hurt_their_stack_are_there() -> None:
    folder = Path(__file__).with_name("end_to_end")
    assert [name for name in spreading._ROUGH if not (folder / f"{name}.py").exists()] == []
