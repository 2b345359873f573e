"""With how many workers an elastic training begins and goes on, and that it takes a checkpoint before a change."""

import pytest

from workers.training.group.resizing import Next, Resizing

CHECK_SECONDS = 60.0


def resizing(smallest: int = 1, largest: int = 4) -> Resizing:
    made = Resizing(smallest, largest, CHECK_SECONDS)
    made.begun(now=0.0)
    return made


@pytest.mark.parametrize(
    ("rooms", "begins_with"),
    [
        ([0, 0, 0], [None, None, None]),
        ([1, 1], [None, None]),
        ([2, 2], [None, 2]),
        ([2, 3, 3], [None, None, 3]),
        ([4], [4]),
        ([9], [4]),
    ],
)
def test_it_begins_when_there_is_room_for_the_fewest_and_two_looks_see_the_same(
    rooms: list[int], begins_with: list[int | None]
) -> None:
    made = resizing(smallest=2)
    assert [made.begin(room) for room in rooms] == begins_with


def test_it_grows_after_a_checkpoint_of_all_workers() -> None:
    made = resizing()
    asked = made.look(workers=2, fits=3, is_leaving=False, now=60.0)
    nobody = made.look(2, 3, False, now=61.0)
    made.saw_reports([0], has_checkpoint=True)
    one = made.look(2, 3, False, now=62.0)
    made.saw_reports([1], has_checkpoint=False)
    both = made.look(2, 3, False, now=63.0)

    assert [asked, nobody, one, both] == [Next.ASK_FOR_CHECKPOINT, Next.GO_ON, Next.GO_ON, Next.RESIZE]


def test_a_report_without_a_checkpoint_is_not_enough() -> None:
    made = resizing()
    made.look(1, 2, False, now=60.0)
    made.saw_reports([0], has_checkpoint=False)

    assert made.look(1, 2, False, now=61.0) is Next.GO_ON


def test_a_checkpoint_from_before_the_wish_does_not_count() -> None:
    made = resizing()
    made.saw_reports([0], has_checkpoint=True)
    made.look(1, 2, False, now=60.0)

    assert made.look(1, 2, False, now=61.0) is Next.GO_ON


def test_it_looks_for_more_room_as_often_as_the_setting_says() -> None:
    made = resizing()
    rooms = {60.0: 1, 70.0: 2, 119.0: 2, 120.0: 2}
    asks = {now: made.look(1, fits, False, now) is Next.ASK_FOR_CHECKPOINT for now, fits in rooms.items()}

    assert asks == {60.0: False, 70.0: False, 119.0: False, 120.0: True}


def test_room_that_is_gone_before_the_checkpoint_is_forgotten() -> None:
    made = resizing()
    made.look(1, 2, False, now=60.0)
    gone = made.look(1, 1, False, now=61.0)
    made.saw_reports([0], has_checkpoint=True)

    assert gone is Next.GO_ON
    assert made.look(1, 2, False, now=62.0) is Next.GO_ON
    assert made.look(1, 2, False, now=121.0) is Next.ASK_FOR_CHECKPOINT


def test_workers_leave_a_node_that_is_to_be_taken_away_without_waiting_for_the_next_check() -> None:
    made = resizing()
    asked = made.look(workers=2, fits=1, is_leaving=True, now=5.0)
    made.saw_reports([0, 1], has_checkpoint=True)

    assert (asked, made.look(2, 1, True, now=6.0)) == (Next.ASK_FOR_CHECKPOINT, Next.RESIZE)
    assert made.wanted(1) == 1


def test_they_move_to_other_nodes_if_these_have_room_for_as_many() -> None:
    made = resizing()

    assert made.look(workers=2, fits=2, is_leaving=True, now=5.0) is Next.ASK_FOR_CHECKPOINT


def test_they_stay_to_the_end_where_there_is_no_room_for_the_fewest() -> None:
    made = resizing(smallest=2)

    assert made.look(workers=2, fits=1, is_leaving=True, now=5.0) is Next.GO_ON


def test_the_most_is_never_passed() -> None:
    made = resizing(largest=2)

    assert made.look(workers=2, fits=9, is_leaving=False, now=60.0) is Next.GO_ON
    assert made.wanted(9) == 2
