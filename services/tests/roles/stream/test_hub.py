"""The hub's beat, and what it keeps only while somebody wants it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from outcry.adapters.clock import SystemClock
from outcry.adapters.memory import MemoryFeed
from outcry.market.terms import BUY, SELL
from outcry.roles.stream.channel import COMBINED, MICROSECONDS, RAW
from outcry.roles.stream.frames import payload_of
from outcry.roles.stream.hub import Hub
from outcry.roles.stream.link import RESTART
from outcry.roles.stream.names import StreamName, parse
from tests.support.inprocess import until
from tests.support.prints import trade
from tests.support.sockets import Socket
from tests.support.stage import Stage, staged


class Breaking(Socket):
    """A subscriber with a bug."""

    def push(self, frame: bytes) -> None:
        super().push(frame)
        raise RuntimeError("as the test wished")


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with staged(tmp_path) as running:
        yield running


def stream(name: str) -> StreamName:
    found = parse(name)
    assert found is not None
    return found


async def test_the_beat_follows_the_clock_and_survives_a_failure(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    hub, listener = stage.hub, Socket()
    hub.venue.clock = SystemClock()
    feed = hub.venue.feed
    assert isinstance(feed, MemoryFeed)
    cutting = asyncio.create_task(feed.supervise_cuts(hub.venue.clock))
    hub.subscribe(stream("btcusd@depth@100ms"), listener, RAW)
    beating = asyncio.create_task(hub.supervise())
    try:
        await stage.happen((BUY, 90, 1))
        await until(lambda: len(listener.frames) == 1)
        hub.subscribe(stream("ethusd@depth"), Breaking(), RAW)
        hub.subscribe(stream("btcusd@depth@100ms"), Breaking(), COMBINED)
        await stage.happen((BUY, 91, 1))
        await until(lambda: "Windows of the market streams could not be ended." in caplog.text)
        first = Breaking()
        hub.subscribe(stream("btcusd@depth5"), first, RAW)
        await until(lambda: bool(first.frames))  # from a beat, or from the end of a second that came just then
        hub.subscribe(stream("btcusd@depth10"), Breaking(), RAW)
        await until(lambda: "A beat of the market streams failed." in caplog.text)
        await stage.happen((BUY, 92, 1))
        await until(lambda: len(listener.frames) == 3)
    finally:
        beating.cancel()
        cutting.cancel()


async def test_subscribers_of_one_dialect_get_the_very_same_bytes(stage: Stage) -> None:
    first, second, wrapped, micro = Socket(), Socket(), Socket(), Socket()
    for listener, dialect in ((first, RAW), (second, RAW), (wrapped, COMBINED), (micro, MICROSECONDS)):
        stage.hub.subscribe(stream("btcusd@trade"), listener, dialect)
    await stage.happen(trades=(trade(1),))
    assert first.frames[0] is second.frames[0]
    assert msgspec.json.decode(payload_of(wrapped.frames[0])[1])["stream"] == "btcusd@trade"
    assert msgspec.json.decode(payload_of(micro.frames[0])[1])["T"] == stage.front.clock.now_ms() * 1000


async def test_a_book_is_kept_while_somebody_needs_it(stage: Stage) -> None:
    hub, listener = stage.hub, Socket()
    await stage.happen((BUY, 90, 1), (SELL, 95, 1))
    board = hub._boards[1]
    assert board.book is None
    hub.subscribe(stream("btcusd@depth5"), listener, RAW)
    hub.subscribe(stream("!bookTicker"), listener, RAW)
    await stage.settled()
    await stage.happen((BUY, 91, 1))
    assert board.best() == ((91, 1), (95, 1))
    hub.unsubscribe(stream("btcusd@depth5"), listener, RAW)
    assert board.book is not None
    hub.unsubscribe(stream("!bookTicker"), listener, RAW)
    assert board.book is None


async def test_what_happens_while_the_book_is_read_is_in_the_book(stage: Stage) -> None:
    hub, listener = stage.hub, Socket()
    await stage.happen((BUY, 90, 1))
    hub.subscribe(stream("btcusd@depth5@100ms"), listener, RAW)
    await stage.happen((BUY, 91, 2))
    await stage.settled()
    await stage.happen((BUY, 92, 3))
    stage.beat()
    told = msgspec.json.decode(payload_of(listener.frames[-1])[1])
    assert [qty for _, qty in told["bids"]] == ["0.00003000", "0.00002000", "0.00001000"]
    assert told["lastUpdateId"] == stage.u


async def test_statistics_are_read_anew_after_a_gap(stage: Stage) -> None:
    hub, listener = stage.hub, Socket()
    hub.subscribe(stream("!miniTicker@arr"), listener, RAW)
    await stage.settled()
    kept = hub._boards[1].rolling
    stage.seq += 3
    await stage.happen(trades=(trade(9),))
    await stage.settled()
    again = hub._boards[1].rolling
    assert again is not kept
    assert again is not None
    assert again.ready
    assert listener.closed == 0


async def test_a_second_copy_of_an_update_is_no_news(stage: Stage) -> None:
    listener = Socket()
    stage.hub.subscribe(stream("btcusd@trade"), listener, RAW)
    await stage.happen(trades=(trade(1),))
    await stage.happen(trades=(trade(1),), first_seq=stage.seq, last_seq=stage.seq)
    assert len(listener.frames) == 1


async def test_a_newcomer_hears_the_book_at_once_and_the_others_not_again(stage: Stage) -> None:
    hub, early, late = stage.hub, Socket(), Socket()
    await stage.happen((BUY, 90, 1))
    hub.subscribe(stream("btcusd@depth5@100ms"), early, RAW)
    await stage.settled()
    stage.beat()
    told = len(early.frames)
    hub.subscribe(stream("btcusd@depth5@100ms"), late, RAW)
    stage.beat()
    assert (len(early.frames), len(late.frames)) == (told, 1)
    assert early.frames[-1] == late.frames[-1]


async def test_every_stream_process_emits_the_same_frames(stage: Stage) -> None:
    names = [f"btcusd@depth{levels}{speed}" for levels in ("", "5") for speed in ("", "@100ms")]
    names += ["btcusd@trade", "btcusd@aggTrade", "btcusd@bookTicker"]
    other = Hub(stage.front.venue)
    other.start()
    heard: dict[Hub, dict[str, Socket]] = {hub: {name: Socket() for name in names} for hub in (stage.hub, other)}
    await stage.happen((BUY, 80, 1), (SELL, 99, 1))
    stage.beat(1000)
    for hub, listeners in heard.items():
        for name, listener in listeners.items():
            hub.subscribe(stream(name), listener, RAW)
    await stage.settled()
    for hub, each in heard.items():
        hub.beat(stage.front.clock.now_ms())  # welcomes them
        for listener in each.values():
            listener.frames.clear()
    for number in range(1, 60):
        await stage.happen((BUY, 80 + number % 7, number % 3), trades=(trade(number),))
        if number % 5 == 0:
            other.beat(stage.front.clock.now_ms())  # its own beat falls where it will
            stage.beat(330)
    mine, others = ({name: listener.frames for name, listener in heard[hub].items()} for hub in (stage.hub, other))
    other.close()
    assert mine == others
    assert all(len(frames) > 1 for frames in mine.values()), {name: len(frames) for name, frames in mine.items()}


async def test_a_process_that_joins_in_mid_window_begins_with_the_first_full_one(stage: Stage) -> None:
    await stage.happen((BUY, 90, 1))
    late, early, listener = Hub(stage.front.venue), Socket(), Socket()
    late.start()
    late.subscribe(stream("btcusd@depth@100ms"), early, RAW)
    await stage.happen((BUY, 91, 1))
    stage.beat()
    assert (early.frames, early.closed) == ([], RESTART)
    late.subscribe(stream("btcusd@depth@100ms"), listener, RAW)
    await stage.happen((BUY, 92, 1))
    stage.beat()
    late.close()
    [told] = [msgspec.json.decode(payload_of(frame)[1]) for frame in listener.frames]
    assert (told["U"], told["u"]) == (3, 3)
