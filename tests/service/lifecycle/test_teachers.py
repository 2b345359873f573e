"""Whose student teaches a generation."""

from service.lifecycle.teachers import teacher_generation


def test_the_last_student_teaches() -> None:
    assert teacher_generation(3, trained={0, 1, 2, 3, 4}, not_promoted=set()) == 2


def test_a_student_that_the_gate_refused_does_not_teach() -> None:
    assert teacher_generation(3, trained={0, 1, 2}, not_promoted={2, 1}) == 0


def test_nobody_teaches_the_first_teacher() -> None:
    assert teacher_generation(0, trained={0, 1}, not_promoted=set()) is None
