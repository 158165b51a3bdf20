"""How far an engine is: what waits, for how long, and whether anything moves."""

import pytest

from outcry.roles.engine import progress
from outcry.roles.engine.progress import Progress
from outcry.rows import Record


def record(offset: int, timestamp_ms: int = 0, part: int = 0) -> Record:
    return Record(part, offset, timestamp_ms, b"")


def test_depth_counts_commands_not_frames() -> None:
    made = Progress()
    made.begin(0, 10)
    made.note_ends({0: 13})
    assert made.depth(0) == 3, "as long as no frame was seen, one is a command"
    for commands in (5, 15):
        made.note_applied(commands)
    assert (made.lag(0), made.depth(0)) == (3, 30)


def test_the_mean_forgets_old_frames() -> None:
    made = Progress()
    made.begin(0, 0)
    made.note_ends({0: 1})
    for commands in [1000] * 500 + [2] * 1000:
        made.note_applied(commands)
    assert made.depth(0) == 2


def test_age_is_that_of_the_oldest_record_that_no_commit_has_reached() -> None:
    made = Progress()
    made.begin(0, 0)
    made.note_ends({0: 3})
    for offset in range(3):
        made.note_read(record(offset, 1_000 + offset))
    assert made.age_ms(0, 1_500) == 500
    made.note_commit(0, 2)
    assert made.age_ms(0, 1_500) == 498
    made.note_commit(0, 3)
    assert made.age_ms(0, 1_500) == 0


@pytest.fixture
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "STALL_SECONDS", -1.0)


@pytest.mark.usefixtures("_at_once")
def test_a_partition_with_work_that_does_not_move_is_stalled_although_others_move() -> None:
    made = Progress()
    for part in (0, 1):
        made.begin(part, 0)
    made.note_ends({0: 1, 1: 1})
    made.note_commit(1, 1)
    assert made.stalled() == [0]
    assert made.stalled(beside=[0]) == []
    made.note_commit(0, 1)
    assert made.stalled() == []


@pytest.mark.usefixtures("_at_once")
def test_a_partition_without_work_or_without_an_owner_is_not_stalled() -> None:
    made = Progress()
    made.begin(0, 1)
    made.note_ends({0: 1, 1: 5})
    assert made.stalled() == []
    made.note_ends({0: 2, 1: 5})
    assert made.stalled() == [0]
    made.forget(0)
    assert made.stalled() == []


def test_a_stall_is_one_only_after_a_while() -> None:
    made = Progress()
    made.begin(0, 0)
    made.note_ends({0: 1})
    assert made.stalled() == []
