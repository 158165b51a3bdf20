"""Whatever happens to messages on their way, nobody is told a wrong book, a gap, or anything twice."""

import asyncio
import random
import struct
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from outcry.adapters.redis import RedisPublisher
from outcry.adapters.redis.channels import Channels
from outcry.adapters.redis.client import connect
from outcry.adapters.redis.keys import Keys
from outcry.adapters.redis.listener import RedisListener
from outcry.adapters.redis.tape import Tape, Want
from outcry.feedcodec import Kind, MarketMessage, encode_update
from outcry.ports import Cut, MarketUpdate
from tests.support.feeds import PATIENCE_SECONDS, POD, Follower, Life, Venue, redis_venue, told

EXAMPLES: Final = 20
MARKET: Final = b"market"


class Mischief:
    """Stands between Redis and a listener: messages are lost, doubled, delayed and swapped."""

    def __init__(self, venue: Venue, listener: RedisListener, chance: random.Random) -> None:
        self.chance = chance
        self._listener = listener
        self._channel = Keys(venue.prefix).market
        self._captured: list[bytes] = []
        self._channels = Channels(venue.url, lambda _, message: self._captured.append(message), lambda: None)

    async def start(self) -> None:
        await self._channels.start([self._channel])

    async def close(self) -> None:
        await self._channels.close()

    def deliver(self) -> None:
        """Some of what was captured, in some order."""
        captured, self._captured = self._captured, []
        if self.chance.random() < 0.3:
            self.chance.shuffle(captured)
        for message in captured:
            fate = self.chance.random()
            if fate < 0.25:
                self._captured.append(message)
            elif fate > 0.4:
                self._hear(message)
            if fate > 0.8:
                self._hear(message)
            if fate > 0.9:
                self._captured.append(message)

    def deliver_all(self) -> None:
        captured, self._captured = self._captured, []
        for message in captured:
            self._hear(message)

    def _hear(self, message: bytes) -> None:
        self._listener.hear(self._channel.encode(), message)


async def one_day(folder: Path, chance: random.Random) -> None:
    """A market trades while messages suffer and Redis forgets; at the end everybody has the market's book."""
    async with redis_venue(folder) as venue, venue.publisher() as publisher:
        listener = RedisListener(venue.url, pod=POD, ledger=venue.books, prefix=venue.prefix)
        mischief, life = Mischief(venue, listener, chance), Life()
        await mischief.start()
        follower = Follower(life)
        listener.on_update(follower.take)
        listener.on_cut(follower.cut)
        await publisher.publish(told(life.snapshot()))
        for _ in range(chance.randrange(5, 40)):
            await _something_happens(venue, publisher, life, chance)
            mischief.deliver()
            await asyncio.sleep(chance.choice((0, 0, 0.002)))
            assert follower.wrong == []
        async with asyncio.timeout(PATIENCE_SECONDS):
            book = None
            while follower.seq != life.seq or book is None or not follower.is_shown():
                await publisher.tick(1_000)
                mischief.deliver_all()
                await asyncio.sleep(0.01)
                book = await listener.book(1, 100)
        assert follower.wrong == []
        assert (book.bids, book.asks) == life.books[life.u]
        await mischief.close()
        await listener.close()


async def _something_happens(venue: Venue, publisher: RedisPublisher, life: Life, chance: random.Random) -> None:
    what = chance.random()
    keys = Keys(venue.prefix).symbol(1)
    client = connect(venue.url, 1)
    if what < 0.04:
        await client.delete(*keys)
    elif what < 0.1:
        await client.xtrim(keys[5], maxlen=chance.randrange(3))
    elif what < 0.3:
        await publisher.tick(chance.choice((100, 1_000)))
    else:
        levels = {
            (chance.choice((1, -1)), chance.randrange(95, 105)): chance.randrange(4) for _ in range(chance.randrange(4))
        }
        batch = life.batch(
            *((side, price, lots) for (side, price), lots in levels.items()), events=chance.choice((1, 2))
        )
        await publisher.publish(venue.archive.keep(told(batch)))
    await client.aclose()


@settings(max_examples=EXAMPLES)
@given(seed=st.integers(0, 1 << 32))
def test_no_mischief_on_the_way_makes_a_wrong_book(seed: int) -> None:
    loop_factory = uvloop.new_event_loop if seed % 2 else None
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(one_day(Path(folder), random.Random(seed)))


def message(update: MarketUpdate, feed_epoch: int = 7, kind: Kind = Kind.UPDATE) -> MarketMessage:
    first = update.last_seq if kind is Kind.SNAPSHOT else update.first_seq
    return MarketMessage(kind, 1, feed_epoch, first, update.last_seq, update.last_u, encode_update(update))


def beat(life: Life, cuts: Mapping[int, int] = MappingProxyType({})) -> MarketMessage:
    body = b"".join(struct.pack("<IQ", *cut) for cut in cuts.items())
    return MarketMessage(Kind.BEAT, 1, 7, life.seq, life.seq, life.u, body)


def seqs(heard: object) -> list[tuple[int, int]]:
    assert isinstance(heard, list)
    return [(update.first_seq, update.last_seq) for update in heard]


def test_the_first_message_needs_nothing_before_it() -> None:
    life, tape = Life(), Tape(1)
    life.batch((1, 9, 1), events=5)
    assert seqs(tape.take(message(life.batch((1, 9, 2))))) == [(6, 6)]
    assert tape.want is Want.NOTHING


def test_a_window_of_which_nothing_was_told_is_not_cut() -> None:
    life, tape = Life(), Tape(1)
    life.batch((1, 9, 1), events=5)
    assert tape.take(cut(life, 1)) == []
    assert seqs(tape.take(message(life.batch((1, 9, 2))))) == [(6, 6)]
    assert [(each.first_u, each.last_u) for each in tape.take(cut(life, 6))] == [(6, 6)]
    assert tape.take(cut(life, 6)) == []


def cut(life: Life, first_u: int) -> MarketMessage:
    return MarketMessage(Kind.CUT, 1, 7, life.seq, life.seq, life.u, struct.pack("<IQQ", 100, first_u, 1))


def test_messages_wait_while_a_gap_is_filled() -> None:
    life, tape = Life(), Tape(1)
    batches = [message(life.batch((1, 9, n + 1))) for n in range(5)]
    assert seqs(tape.take(batches[0])) == [(1, 1)]
    assert tape.take(batches[2]) == [] and tape.want is Want.SINCE
    assert tape.take(batches[3]) == []
    assert seqs(tape.fill(7, 4, batches[1:4], is_last=True)) == [(2, 2), (3, 3), (4, 4)]
    assert tape.want is Want.NOTHING
    assert seqs(tape.take(batches[4])) == [(5, 5)]


def test_a_heartbeat_tells_of_a_lost_last_message() -> None:
    life, tape = Life(), Tape(1)
    tape.take(message(life.batch((1, 9, 1))))
    tape.take(beat(life))
    assert tape.want is Want.NOTHING
    life.batch((1, 9, 2))
    tape.take(beat(life))
    assert tape.want is Want.SINCE


def test_a_heartbeat_tells_of_a_lost_end_of_a_window() -> None:
    life, tape = Life(), Tape(1)
    tape.take(message(life.batch((1, 9, 1))))
    assert tape.take(beat(life, {100: 0, 1000: 0})) == []
    tape.take(message(life.batch((1, 9, 2))))
    assert tape.take(beat(life, {100: 1, 1000: 0})) == [], "one that is open again ends later"
    made_up = Cut(symbol_id=1, window_ms=100, first_u=1, last_u=2)
    assert tape.take(beat(life, {100: 2, 1000: 0})) == [made_up]
    assert tape.take(beat(life, {100: 2, 1000: 0})) == []
    assert tape.take(cut(life, 1)) == [], "it is told once"


def test_what_is_missed_while_a_gap_is_being_filled_is_asked_for_again() -> None:
    life, tape = Life(), Tape(1)
    first, second = message(life.batch((1, 9, 1))), message(life.batch((1, 9, 2)))
    tape.take(first)
    tape.doubt()
    tape.doubt()  # the stream may have been read before this
    assert tape.fill(7, 1, [], is_last=True) == [] and tape.want is Want.SINCE
    assert seqs(tape.fill(7, 2, [second], is_last=True)) == [(2, 2)] and tape.want is Want.NOTHING


def test_what_is_missed_while_the_book_is_being_read_is_asked_for_again() -> None:
    life, tape = Life(), Tape(1)
    tape.take(message(life.batch((1, 9, 1))))
    tape.doubt()
    tape.fill(8, 1, [], is_last=True)
    assert tape.want is Want.BOOK
    tape.doubt()
    tape.replace(_as_read(life))
    assert tape.want is Want.SINCE


def test_the_stream_of_another_feed_epoch_fills_nothing() -> None:
    life, tape = Life(), Tape(1)
    tape.take(message(life.batch((1, 9, 1))))
    later = message(life.batch((1, 9, 2)), feed_epoch=8)
    assert tape.take(later) == [] and tape.want is Want.SINCE
    assert tape.fill(8, 2, [later], is_last=True) == [] and tape.want is Want.BOOK


def test_a_message_of_an_earlier_feed_epoch_changes_nothing() -> None:
    life, tape = Life(), Tape(1)
    tape.take(message(life.batch((1, 9, 1)), feed_epoch=8))
    assert tape.take(message(life.batch((1, 9, 2)), feed_epoch=7)) == []
    assert tape.fill(8, 1, [], is_last=True) == []
    assert tape.want is Want.NOTHING and tape.seq == 1


def test_a_body_that_cannot_be_read_is_replaced_by_the_book() -> None:
    life, tape = Life(), Tape(1)
    tape.take(message(life.batch((1, 9, 1))))
    assert tape.take(message(life.batch((1, 9, 2)))._replace(body=b"\xc1")) == []
    assert tape.want is Want.BOOK
    assert seqs(tape.replace(_as_read(life))) == [(3, 2)]


def test_more_than_a_page_is_filled_page_by_page() -> None:
    life, tape = Life(), Tape(1)
    batches = [message(life.batch((1, 9, n + 1))) for n in range(5)]
    tape.take(batches[0])
    tape.take(batches[4])
    assert seqs(tape.fill(7, 5, batches[1:3], is_last=False)) == [(2, 2), (3, 3)]
    assert tape.want is Want.SINCE
    assert seqs(tape.fill(7, 5, batches[3:], is_last=True)) == [(4, 4), (5, 5)]


@pytest.mark.parametrize("stored", [1, 4])
def test_a_hole_in_the_stream_is_bridged_by_the_book(stored: int) -> None:
    life, tape = Life(), Tape(1)
    batches = [message(life.batch((1, 9, n + 1))) for n in range(stored)]
    tape.take(batches[0])
    tape.doubt()
    told = tape.fill(7, life.seq + (stored == 1), batches[2:], is_last=True)
    assert told == [] and tape.want is Want.BOOK


def _as_read(life: Life) -> MarketUpdate:
    snapshot = life.snapshot()
    return type(snapshot)(**{name: getattr(snapshot, name) for name in snapshot.__struct_fields__} | {"feed_epoch": 7})
