"""When a partition is said to take no records, and when it is tried."""

import pytest

from outcry.adapters.kafka.doubts import STALL_SECONDS, Doubts
from outcry.ports import OutcomeUnknown, OutOfService


class Hand:
    """A steady clock that a test moves."""

    at = 0.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def hand() -> Hand:
    return Hand()


@pytest.fixture
def doubts(hand: Hand) -> Doubts:
    return Doubts(hand)


@pytest.mark.parametrize("trouble", [OutOfService, OutcomeUnknown])
def test_a_partition_whose_append_failed_is_blocked_until_one_succeeds(
    doubts: Doubts, trouble: type[Exception]
) -> None:
    with pytest.raises(trouble), doubts.attempt({1, 2}):
        raise trouble("as the test wished")
    assert doubts.blocked == doubts.untried == {1, 2}
    with doubts.attempt({2}):
        assert doubts.untried == {1}, "one trial at a time"
    assert doubts.blocked == {1}


def test_a_partition_is_blocked_while_an_append_takes_too_long(doubts: Doubts, hand: Hand) -> None:
    with doubts.attempt({1}):
        hand.at = STALL_SECONDS / 2
        with doubts.attempt({2}):
            assert doubts.blocked == set()
            hand.at = STALL_SECONDS
            assert doubts.blocked == {1}
            assert doubts.untried == set()
    assert doubts.blocked == set()


def test_a_partition_that_takes_records_meanwhile_is_not_blamed_for_another(doubts: Doubts, hand: Hand) -> None:
    with pytest.raises(OutcomeUnknown), doubts.attempt({1, 2}):
        hand.at = STALL_SECONDS
        with doubts.attempt({2}):
            pass
        assert doubts.blocked == {1}
        raise OutcomeUnknown("of partition 1")
    assert doubts.blocked == {1}


def test_a_bug_says_nothing_about_kafka(doubts: Doubts) -> None:
    with pytest.raises(ZeroDivisionError), doubts.attempt({1}):
        raise ZeroDivisionError
    assert doubts.blocked == set()
