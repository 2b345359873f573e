"""The benchmark counts the tests that are marked as attacks."""

from benchmarks.house.attacks import count


def test_each_case_of_a_test_counts() -> None:
    collected = "tests/a.py::test_x[1]\ntests/a.py::test_x[2]\ntests/b.py::test_y\n\n3/90 tests collected in 1.00s\n"
    assert count(collected) == {"tests/a.py": 2, "tests/b.py": 1}
