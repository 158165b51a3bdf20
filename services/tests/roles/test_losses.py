"""What a partition's log has lost, and where it goes on."""

import pytest

from outcry.adapters.kafka.consumer import MAX_HELD, MAX_POLL
from outcry.roles.admin.losses import READ_AHEAD, Log, Loss, loss_of
from outcry.roles.engine.engine import MAX_BATCH_COMMANDS
from outcry.roles.engine.session import genesis

ROW = genesis(3).row._replace(next_offset=50)


@pytest.mark.parametrize(
    "log",
    [Log(0, 50), Log(0, 80), Log(50, 50), Log(50, 80)],
    ids=["at its end", "behind", "trimmed", "trimmed behind"],
)
def test_a_log_that_goes_on_at_the_partitions_place_has_lost_nothing(log: Log) -> None:
    assert loss_of(ROW, log) is None


def test_records_thrown_away_before_they_were_applied_are_lost_and_the_others_are_not() -> None:
    assert loss_of(ROW, Log(60, 80)) == Loss(3, 50, 60, "the log begins at record 60")


@pytest.mark.parametrize(
    "log", [Log(0, 9, is_another=True), Log(0, 9), Log(0, 70, is_changed=True)], ids=["another", "cut short", "changed"]
)
def test_no_offset_is_used_again_that_a_lost_record_may_have_had(log: Log) -> None:
    found = loss_of(ROW, log)
    assert found is not None
    assert (found.from_offset, found.to_offset) == (50, 50 + READ_AHEAD)
    filled = log._replace(end=50 + READ_AHEAD, is_changed=not log.is_another)
    again = loss_of(ROW, filled)
    assert again is not None and again.place == found.place, "an attempt that broke off is the same one later"


def test_a_new_log_that_is_longer_goes_on_at_its_end() -> None:
    found = loss_of(ROW, Log(0, 90_000, is_another=True))
    assert found is not None and found.to_offset == 90_000


def test_no_process_reads_as_far_ahead_as_a_partition_of_another_log_is_moved() -> None:
    assert MAX_HELD + MAX_POLL + 2 * MAX_BATCH_COMMANDS < READ_AHEAD
