"""Selection where classes are uneven: rare images, and classes of which the teacher is less sure."""

from pathlib import Path

from tests.workers.selection.test_selection import Folder, Row, digest
from workers.specs.selection import SelectionSettings


def test_one_rare_image_is_repeated_ten_times_and_the_result_says_what_its_class_lacks(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.write_labels([[Row(0, 0.1, bytes([number]) * 16) for number in range(200)] + [Row(1, 0.1, digest(1))]])
    result = folder.run(settings=SelectionSettings())
    assert folder.copies(0)[200] == 10
    assert (result.classes_not_filled_up, result.copies_lacking, result.copies) == (1, 190, 210)
    unlimited = folder.run(settings=SelectionSettings(max_copies_per_image=None))
    assert folder.copies(0)[200] == 200
    assert (unlimited.classes_not_filled_up, unlimited.copies_lacking) == (0, 0)


def test_a_share_of_each_class_keeps_a_class_of_which_the_teacher_is_less_sure(tmp_path: Path) -> None:
    """A threshold for all classes at the same number of images would keep none of the second."""
    sure = [Row(0, 0.01 + number / 1000, bytes([number]) * 16) for number in range(20)]
    unsure = [Row(1, 0.5 + number / 1000, bytes([100 + number]) * 16) for number in range(20)]
    folder = Folder(tmp_path)
    folder.write_labels([sure + unsure])
    folder.run(settings=SelectionSettings(share_per_class=0.5))
    assert sorted(folder.copies(0)) == [*range(10), *range(20, 30)]
    folder.run(settings=SelectionSettings(min_confidence=0.9))
    assert sorted(folder.copies(0)) == list(range(20))
