"""The sending half of the journal on Kafka: what becomes of a producer that fails, and of what it had on its way."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from outcry.adapters.kafka import producer as producing
from outcry.adapters.kafka.client import Brokers
from outcry.adapters.kafka.library import Dead, Producer, Told
from outcry.adapters.kafka.producer import Sender
from outcry.ports import OutcomeUnknown, OutOfService

Answer = Callable[[int, Told], None]  # what a broker makes of the frame of this number


class Script:
    """A library's producer that answers as written, from a thread of its own."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.sent = 0
        self.closed = threading.Event()

    def send(self, part: int, frame: bytes, told: Told) -> None:
        self.sent += 1
        self._answer(self.sent - 1, told)

    def close(self, timeout_seconds: float) -> None:
        self.closed.set()


@asynccontextmanager
async def sender(*producers: Producer) -> AsyncIterator[Sender]:
    """A sender whose library makes these producers, one after another."""
    left = iter(producers)
    opened = Sender(Brokers(servers="nowhere:9"), "orders", lambda brokers, topic: next(left))
    opened.open()
    await opened.ready(30)
    yield opened
    await opened.close()


async def replacement(opened: Sender) -> None:
    while opened.trouble:  # noqa: ASYNC110
        await asyncio.sleep(0.01)


def acknowledge(number: int, told: Told) -> None:
    threading.Thread(target=told, args=(number,)).start()


def silence(number: int, told: Told) -> None:
    return


async def test_offsets_are_those_of_the_frames_in_whatever_order_they_are_acknowledged() -> None:
    waiting: list[Told] = []
    async with sender(Script(lambda number, told: waiting.append(told))) as opened:
        sending = asyncio.create_task(opened.send([(0, b"a"), (1, b"b"), (2, b"c")]))
        await asyncio.sleep(0)
        assert opened.unacknowledged == 3
        for place in (2, 0, 1):
            waiting[place](70 + place)
        assert await sending == [70, 71, 72]
        assert opened.unacknowledged == 0


async def test_what_a_response_acknowledges_at_once_wakes_the_event_loop_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waiting: list[Told] = []
    async with sender(Script(lambda number, told: waiting.append(told))) as opened:
        sending = [asyncio.create_task(opened.send([(part, b"frame")])) for part in range(50)]
        await asyncio.sleep(0)
        rung: list[object] = []
        loop = asyncio.get_running_loop()
        ring = loop.call_soon_threadsafe
        with monkeypatch.context() as patched:
            patched.setattr(loop, "call_soon_threadsafe", lambda call: (rung.append(call), ring(call)))
            for offset, told in enumerate(waiting):
                told(offset)
        assert await asyncio.gather(*sending) == [[offset] for offset in range(50)]
        assert len(rung) == 1


async def test_acknowledgements_out_of_many_threads_are_all_heard() -> None:
    async with sender(Script(acknowledge)) as opened:
        sent = await asyncio.gather(*(opened.send([(0, b"frame")] * 3) for _ in range(200)))
        assert sorted(offset for offsets in sent for offset in offsets) == list(range(600))


async def test_a_frame_that_fails_makes_its_append_unknown_and_is_the_end_of_its_producer() -> None:
    first = Script(lambda number, told: told(number if number == 0 else RuntimeError("refused")))
    async with sender(first, Script(acknowledge)) as opened:
        with pytest.raises(OutcomeUnknown, match="refused"):
            await opened.send([(0, b"a"), (0, b"b")])
        assert opened.replaced == 1
        await replacement(opened)
        assert await opened.send([(0, b"c")]) == [0]
        assert first.closed.wait(30)


async def test_a_producer_that_says_nothing_is_given_up_with_all_it_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(producing, "GIVE_UP_SECONDS", 1.0)
    async with sender(Script(silence), Script(acknowledge)) as opened:
        early = asyncio.create_task(opened.send([(0, b"a")]))
        await asyncio.sleep(0.05)
        late = asyncio.create_task(opened.send([(0, b"b")]))
        for sending in (early, late):
            with pytest.raises(OutcomeUnknown):
                await sending
        assert (opened.replaced, opened.unacknowledged) == (1, 0)


async def test_a_dead_producer_refuses_and_is_replaced() -> None:
    def die(number: int, told: Told) -> None:
        raise Dead("fenced")

    async with sender(Script(die), Script(acknowledge)) as opened:
        with pytest.raises(OutOfService, match="fenced"):
            await opened.send([(0, b"a")])
        await replacement(opened)
        assert await opened.send([(0, b"a")]) == [0]


async def test_an_append_that_was_taken_in_part_is_unknown() -> None:
    def tire(number: int, told: Told) -> None:
        if number == 1:
            raise OutOfService("full")

    async with sender(Script(tire)) as opened:
        with pytest.raises(OutcomeUnknown, match="only 1 of 2"):
            await opened.send([(0, b"a"), (0, b"b")])
        await asyncio.sleep(0)
        assert (opened.replaced, opened.unacknowledged) == (0, 0)


async def test_more_than_may_be_on_its_way_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(producing, "MAX_UNACKED", 2)
    async with sender(Script(silence)) as opened:
        sending = asyncio.create_task(opened.send([(0, b"a")]))
        await asyncio.sleep(0)
        with pytest.raises(OutOfService, match="too many"):
            await opened.send([(0, b"b"), (0, b"c")])
        sending.cancel()
