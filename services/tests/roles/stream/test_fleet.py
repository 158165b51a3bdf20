"""Several stream processes on one real Redis: each sends what the others send, and a client may change between them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec

from outcry.adapters.clock import SystemClock
from outcry.adapters.redis import RedisListener, RedisPublisher
from outcry.roles.api.venue import Venue as Front
from outcry.roles.stream.channel import RAW
from outcry.roles.stream.frames import payload_of
from outcry.roles.stream.hub import Hub
from outcry.roles.stream.names import parse
from outcry.settings import Settings
from tests.support.feeds import Life, Venue, redis_venue, told, until
from tests.support.gated import gated, listed
from tests.support.sockets import Socket

NAMES = ("btcusd@depth@100ms", "btcusd@depth", "btcusd@depth5@100ms", "btcusd@trade", "btcusd@bookTicker")


class Process:
    """One stream process's hub, and one socket for each stream."""

    def __init__(self, front: Front, feed: RedisListener) -> None:
        self.hub = Hub(
            Front(settings=Settings(), ledger=front.ledger, feed=feed, shared=front.shared, clock=SystemClock())
        )
        self.hub.venue.use([listed(1, "BTCUSD")])
        self.hub.start()
        self.sockets = {name: Socket() for name in NAMES}
        self.native = Socket()

    def told(self) -> list[bytes]:
        """What the native follower was sent; heartbeats go by each process's own clock."""
        return [frame for frame in self.native.frames if b'"type":"heartbeat"' not in frame]

    def subscribe(self) -> None:
        for name, socket in self.sockets.items():
            stream = parse(name)
            assert stream is not None
            self.hub.subscribe(stream, socket, RAW)
        tape = self.hub.tape("depth:BTCUSD")
        assert tape is not None
        self.hub.follow(tape, self.native, None)

    def ends_at(self, u: int) -> bool:
        """Whether both windows and the native channel have come to an update id."""
        last = [self.sockets[name].frames[-1:] for name in NAMES[:2]]
        at = [msgspec.json.decode(payload_of(frame)[1])["u"] for frames in last for frame in frames]
        tape = self.hub.tape("depth:BTCUSD")
        assert tape is not None
        return at == [u, u] and tape.seq == u


@asynccontextmanager
async def processes(venue: Venue, front: Front, count: int) -> AsyncIterator[list[Process]]:
    """So many processes, each with its own connection to Redis."""
    async with AsyncExitStack() as stack:
        made = []
        for number in range(count):
            feed = RedisListener(venue.url, pod=f"stream-{number}", ledger=venue.books, prefix=venue.prefix)
            await feed.start()
            stack.push_async_callback(feed.close)
            made.append(Process(front, feed))
            stack.callback(made[-1].hub.close)
            stack.callback(asyncio.create_task(made[-1].hub.supervise()).cancel)
        yield made


@asynccontextmanager
async def fleet_on_redis(folder: Path, count: int) -> AsyncIterator[tuple[RedisPublisher, list[Process]]]:
    """An engine's half of the feed and the processes that listen to it."""
    async with (
        redis_venue(folder) as venue,
        gated(folder) as front,
        venue.publisher() as publisher,
        processes(venue, front.venue, count) as fleet,
    ):
        yield publisher, fleet


async def test_every_process_on_redis_sends_the_same_windows(tmp_path: Path) -> None:
    async with fleet_on_redis(tmp_path, 3) as (publisher, fleet):
        life = Life()
        await publisher.publish(told(life.snapshot()))
        await publisher.publish(told(life.batch((1, 90, 5), (-1, 95, 5))))
        await until(lambda: all(each.hub.tape("depth:BTCUSD").seq == life.u for each in fleet))  # type: ignore[union-attr]
        for each in fleet:
            each.subscribe()
        await until(lambda: all(each.native.frames and each.sockets[NAMES[2]].frames for each in fleet))
        for number in range(200):
            await publisher.publish(told(life.batch((1, 80 + number % 9, 1 + number % 4))))
            await asyncio.sleep(0.01)
        await until(lambda: all(each.ends_at(life.u) for each in fleet))
        first = fleet[0]
        for other in fleet[1:]:
            for name in NAMES:
                assert other.sockets[name].frames == first.sockets[name].frames, name
            assert other.told() == first.told()
        assert len(first.sockets[NAMES[0]].frames) > 10
        assert all(not socket.closed for each in fleet for socket in each.sockets.values())
        # A client that followed one process goes on at another.
        seen = msgspec.json.decode(payload_of(first.told()[-4])[1])
        tape = fleet[2].hub.tape("depth:BTCUSD")
        assert tape is not None
        lacking = tape.since(seen["epoch"], seen["seq"])
        assert lacking is not None
        assert [each.frame() for each in lacking] == first.told()[-3:]
