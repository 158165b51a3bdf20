"""When the clocks of journal and ledger are said to disagree, and when that keeps new orders out."""

import pytest

from outcry.roles.api.skew import REFUSE_MS, Skew
from outcry.rows import PartitionRow

NOW_MS = 1_700_000_000_000


def at(offset: int, log_time: int, part: int = 0) -> list[PartitionRow]:
    return [PartitionRow(part, offset, 1, log_time, 1, 0, 0, b"", b"", "RUN", None)]


@pytest.mark.parametrize(("ahead_ms", "alarm", "refuses"), [
    (0, False, False), (999, False, False), (1_000, True, False), (REFUSE_MS - 1, True, False), (REFUSE_MS, True, True),
    (-1_999, False, False), (-2_000, True, False),
])  # fmt: skip
def test_a_second_apart_is_an_alarm_and_four_ahead_keep_new_orders_out(
    ahead_ms: int, alarm: bool, refuses: bool
) -> None:
    skew = Skew()
    for offset in range(1, 4):
        skew.look(at(offset, NOW_MS + ahead_ms + 500 * offset), NOW_MS + 500 * offset, {})
    assert (bool(skew.alarm), skew.misdated == {0}) == (alarm, refuses)


def test_a_journal_whose_clock_was_put_right_takes_orders_although_log_time_is_ahead() -> None:
    skew = Skew()
    skew.look(at(1, NOW_MS), NOW_MS, {})
    skew.look(at(2, NOW_MS + 300_000), NOW_MS, {})
    skew.look(at(2, NOW_MS + 300_000), NOW_MS + 500, {})
    assert skew.misdated == {0}, "nothing new is known"
    skew.look(at(3, NOW_MS + 300_000), NOW_MS + 1_000, {})
    assert skew.misdated == frozenset()
    assert "299.0 s ahead" in skew.alarm


def test_an_old_record_that_was_read_late_says_nothing_about_clocks() -> None:
    """As the last one before a new engine has the partition; the next one is dated now."""
    skew = Skew()
    for offset, log_time in ((1, NOW_MS - 9_000), (2, NOW_MS - 8_000), (3, NOW_MS)):
        skew.look(at(offset, log_time), NOW_MS, {})
        assert skew.alarm == ""


def test_who_is_behind_with_the_log_says_nothing_about_clocks() -> None:
    skew = Skew()
    skew.look(at(1, NOW_MS - 9_000), NOW_MS, {0: 10})
    skew.look(at(2, NOW_MS - 8_000), NOW_MS, {0: 9})
    assert skew.alarm == ""
    skew.look(at(12, NOW_MS + 500), NOW_MS + 500, {0: 0})
    assert skew.alarm == ""
