"""Measures the feed on Redis: batches that its script takes, and messages that a listener receives.

    OUTCRY_REDIS_FANOUT=redis://127.0.0.1:6379/0 python load-tests/feed.py [SECONDS]

Rates are per second of CPU of the process named, so that a busy machine tells the same story as an idle one.
"""

import asyncio
import multiprocessing
import os
import secrets
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import redis
import redis.asyncio
import uvloop

from outcry.adapters.clock import SystemClock
from outcry.adapters.redis import RedisListener, RedisPublisher
from outcry.adapters.redis.channels import Channels
from outcry.adapters.sqlite import Store
from outcry.feedcodec import VERSION, Kind, encode_update
from outcry.ports import MarketUpdate, Publication
from outcry.rows import PartitionRow, TradeRow

SYMBOLS = 8
LEVELS = 12
TRADES = 4
MESSAGE_BYTES = 200
MESSAGES = 150_000
FLOOD = 256  # messages of one pipeline


class Nothing:
    """A backlog that keeps nothing, of a ledger without partitions."""

    async def missing(self, part: int, symbol_id: int, after_seq: int) -> list[Publication]:
        return []

    async def partitions(self) -> list[PartitionRow]:
        return []


def batch(symbol_id: int, n: int) -> MarketUpdate:
    """One symbol's changes of one engine batch; batch 0 is the snapshot."""
    levels = tuple((1 if i % 2 else -1, 1_000 + (n * 7 + i * 13) % 400, (n + i) % 9) for i in range(LEVELS))
    trades = tuple(
        TradeRow(symbol_id, n * TRADES + i, n, 0, n, i, 1, 1000, 5, 5000, 1, 1, 2, 3, 4, 5, 6) for i in range(TRADES)
    )
    return MarketUpdate(
        symbol_id=symbol_id, part=0, epoch=1, first_seq=n, last_seq=n, first_u=n, last_u=n, time_ms=n, levels=levels,
        trades=trades if n else (), snapshot=not n,
    )  # fmt: skip


async def redis_cpu(client: "redis.asyncio.Redis") -> float:
    """Seconds of CPU that Redis has used."""
    told = await client.info("cpu")
    return float(told["used_cpu_user_main_thread"] + told["used_cpu_sys_main_thread"])


async def publishing(url: str, seconds: float) -> None:
    client = redis.asyncio.Redis.from_url(url)
    prefix = f"bench-{secrets.token_hex(4)}:"
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "lease.db", clock=SystemClock())
        store.open()
        await store.lease.takeover(0, "bench/1")
        publisher = RedisPublisher(url, clock=SystemClock(), lease=store.lease, backlog=Nothing(), prefix=prefix)
        await publisher.start()
        await publisher.publish(Publication(updates=tuple(batch(s, 0) for s in range(SYMBOLS))))
        await until(lambda: not publisher.behind)
        began, own, theirs, n = time.monotonic(), time.process_time(), await redis_cpu(client), 0
        while time.monotonic() - began < seconds:
            n += 1
            await publisher.publish(Publication(updates=tuple(batch(s, n) for s in range(SYMBOLS))))
            await until(lambda: not publisher.behind)
        count, wall = n * SYMBOLS, time.monotonic() - began
        own, theirs = time.process_time() - own, await redis_cpu(client) - theirs
        print(f"publish: {count} symbol-batches of {LEVELS} levels and {TRADES} trades in pipelines of {SYMBOLS}")
        print(f"  {count / wall:,.0f}/s of wall time, {count / theirs:,.0f}/s of Redis' CPU, ", end="")
        print(f"{count / own:,.0f}/s of the engine's CPU; {publisher.given_up} pipelines given up")
        await publisher.close()
        store.close()
    for key in [key async for key in client.scan_iter(prefix + "*")]:
        await client.delete(key)
    await client.aclose()


def plain(_: int) -> bytes:
    return b"x" * MESSAGE_BYTES


def update(n: int) -> bytes:
    """A market message as the script writes it."""
    return struct.pack("<BBIQQQQ", VERSION, Kind.UPDATE, 1, 5, n, n, n) + encode_update(batch(1, n))


def flood(url: str, channel: str, make: Callable[[int], bytes], count: int) -> None:
    """Publishes so many; runs in a process of its own."""
    with redis.Redis.from_url(url) as client:
        for at in range(1, count, FLOOD):
            pipeline = client.pipeline(transaction=False)
            for n in range(at, min(at + FLOOD, count + 1)):
                pipeline.publish(channel, make(n))
            pipeline.execute()


async def until(holds: Callable[[], bool]) -> None:
    while True:
        if holds():
            return
        await asyncio.sleep(0.02)


async def receive(url: str, channel: str, make: Callable[[int], bytes], heard: list[int]) -> float:
    """Messages per second of this process's CPU, until all are heard."""
    spawn = multiprocessing.get_context("spawn")
    process = spawn.Process(target=flood, args=(url, channel, make, MESSAGES))
    process.start()
    await until(lambda: heard[0] > 0)
    at, own = heard[0], time.process_time()
    await until(lambda: heard[0] >= MESSAGES)
    own = time.process_time() - own
    process.join()
    return (MESSAGES - at) / own


async def receiving(url: str) -> None:
    heard, channel = [0], f"bench-{secrets.token_hex(4)}"

    def count(*_: object) -> None:
        heard[0] += 1

    channels = Channels(url, count, lambda: None)
    await channels.start([channel])
    rate = await receive(url, channel, plain, heard)
    print(f"receive, {MESSAGE_BYTES} bytes, taken as they are: {rate:,.0f} messages/s of the listener's CPU")
    await channels.close()


async def listening(url: str) -> None:
    prefix = f"bench-{secrets.token_hex(4)}:"
    listener = RedisListener(url, pod="bench", ledger=Nothing(), prefix=prefix)
    heard = [0]

    def count(_: MarketUpdate) -> None:
        heard[0] += 1

    listener.on_update(count)
    await listener.start()
    rate = await receive(url, prefix + "market", update, heard)
    print(f"receive, updates of {LEVELS} levels and {TRADES} trades ({len(update(1))} bytes), ", end="")
    print(f"decoded, in order, told: {rate:,.0f} updates/s of the listener's CPU, {listener.gaps} gaps")
    await listener.close()


async def main() -> None:
    url = os.environ["OUTCRY_REDIS_FANOUT"]
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 5.0
    await publishing(url, seconds)
    await receiving(url)
    await listening(url)


if __name__ == "__main__":
    uvloop.run(main())
