"""How long a topic's id vouches for records, and what is asked when it does not any more."""

import pytest

from outcry.adapters.kafka.identity import FILL_PER_SECOND, MADE_ANEW, Identity
from outcry.ports import JournalBroken
from outcry.rows import Record
from tests.adapters.test_kafka_doubts import Hand


class Kafka:
    """Knows one topic."""

    topic_id = "first"
    asked = 0

    def __call__(self) -> str:
        self.asked += 1
        return self.topic_id


def at(*offsets: int) -> list[Record]:
    return [Record(part, offset, 0, b"") for part, offset in enumerate(offsets)]


@pytest.mark.parametrize(("seconds", "offset", "vouches"), [
    (0.0, 0, True), (0.1, 0, False), (0.1, FILL_PER_SECOND // 10 - 1, False), (0.1, FILL_PER_SECOND // 10, True),
    (1.0, FILL_PER_SECOND, True), (1.1, FILL_PER_SECOND, False),
])  # fmt: skip
def test_an_id_vouches_for_as_long_as_a_new_topic_would_need_to_grow_to_the_place(
    seconds: float, offset: int, vouches: bool
) -> None:
    hand = Hand()
    identity = Identity(Kafka(), hand)
    identity.expect("first", 0.0)
    hand.at = seconds
    assert identity.vouches(at(10 * FILL_PER_SECOND, offset)) is vouches


def test_a_topic_that_is_still_the_same_vouches_from_the_question_on() -> None:
    hand, kafka = Hand(), Kafka()
    identity = Identity(kafka, hand)
    identity.expect("first", 0.0)
    hand.at = 5.0
    identity.confirm(at(FILL_PER_SECOND))
    hand.at = 6.0
    assert identity.vouches(at(FILL_PER_SECOND))
    assert kafka.asked == 1


def test_records_of_another_topic_break_the_journal() -> None:
    hand, kafka = Hand(), Kafka()
    identity = Identity(kafka, hand)
    identity.expect("first", 0.0)
    kafka.topic_id = "second"
    with pytest.raises(JournalBroken, match=MADE_ANEW):
        identity.confirm(at(7))
    identity.expect("second", 0.0)
    identity.confirm(at(7))
