"""Which tests share a process of `pytest -n`."""

from pathlib import Path

from tests import spreading
from tests.spreading import scope_of, turn_of


def test_the_end_to_end_tests_have_two_stacks_and_all_others_go_where_there_is_room() -> None:
    assert scope_of("tests/end_to_end/test_faults.py::test_a") == scope_of("tests/end_to_end/test_access.py::test_b")
    assert scope_of("tests/end_to_end/test_studies.py::test_a") == scope_of("tests/end_to_end/test_whole_loop.py::b")
    assert scope_of("tests/end_to_end/test_faults.py::test_a") != scope_of("tests/end_to_end/test_studies.py::test_a")
    assert scope_of("tests/test_limits.py::test_a") != scope_of("tests/test_limits.py::test_b")


def test_tests_that_share_what_their_file_makes_share_a_process() -> None:
    for file in ("tests/rehearsal/test_zero_to_zero.py", "tests/workers/runtime/test_placement_on_ray.py"):
        assert scope_of(f"{file}::test_a") == scope_of(f"{file}::test_b") == file


def test_the_longest_begin() -> None:
    begins = [
        "tests/end_to_end/test_studies.py::test_a",
        "tests/rehearsal/test_zero_to_zero.py::test_a",
        "tests/workers/runtime/test_placement_on_ray.py::test_a",
        "tests/test_limits.py::test_a",
    ]
    assert [turn_of(nodeid) for nodeid in begins] == [0, 1, 2, 3]


def test_the_files_that_hurt_their_stack_are_there() -> None:
    folder = Path(__file__).with_name("end_to_end")
    assert [name for name in spreading._ROUGH if not (folder / f"{name}.py").exists()] == []
