"""Kafka alone: its own producer benchmark, and beside it the journal's adapter through each client library.

All send records of the size of real frames, idempotent and acknowledged by all replicas, to a topic with the journal's
settings: paced, which shows how late an acknowledgement is, and as fast as they can, which shows the ceiling. Kafka's
own benchmark is ``kafka-producer-perf-test``; its CPU includes the start of its JVM.
"""

import asyncio
import itertools
import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import components
import uvloop
from cluster_stage import Stage
from usage import look

from outcry.adapters.kafka import Brokers, KafkaJournal, library_named
from outcry.adapters.kafka.topic import Topic
from outcry.codec import encode_frame
from outcry.market.commands import PlaceOrder
from outcry.market.terms import BUY, LIMIT
from outcry.settings import KAFKA_CLIENTS
from outcry.wiring.roles import SWITCH_SECONDS

SECONDS: Final = float(os.environ.get("BENCH_KAFKA_SECONDS", "3"))  # of each measurement
PACE: Final = 300  # frames a second
UNDER_WAY: Final = 128  # frames of the adapter that wait for their acknowledgement at once, as fast as it can
ORDERS: Final = (1, 32)  # in a frame
MAX_READ: Final = 512
LIMIT_SECONDS: Final = 60  # for Kafka's benchmark to start and end
TOOL: Final = "org.apache.kafka.tools.ProducerPerformance"
TOLD: Final = re.compile(r"([\d.]+) records/sec.* ([\d.]+) ms avg latency.* (\d+) ms 50th.* (\d+) ms 99th")


class Sent(NamedTuple):
    """What one way of sending came to; latencies in milliseconds, CPU in microseconds a frame by process."""

    frames_per_second: float
    mean: float
    p50: float
    p99: float
    cpu_us: dict[str, float]


def frame_of(orders: int) -> bytes:
    """A frame as an api packs it."""
    order = PlaceOrder(
        command_id=1 << 40, symbol_id=1, order_id=1 << 40, account=1_000, client_order_id="x" * 22, side=BUY,
        type=LIMIT, price=6_000_000, qty=100, maker_ppm=1_000, taker_ppm=1_000, held=600_000_000,
    )  # fmt: skip
    return encode_frame([order] * orders, reply_to="api-0")


@contextmanager
def topic(on: Stage) -> Iterator[str]:
    """A topic like the journal's, gone afterwards."""
    made = Topic(Brokers(servers=on.settings.kafka), f"bench-{secrets.token_hex(4)}")
    made.create(on.settings.partitions, on.settings.replication, 1)
    yield made.name
    made.delete()
    made.close()


def by_kafka(on: Stage, name: str, size: int, pace: int, records: int) -> Sent:
    """Kafka's own benchmark; ``pace`` 0 is as fast as it can."""
    words = [
        "--bootstrap-server",
        on.settings.kafka,
        "--topic",
        name,
        "--record-size",
        str(size),
        "--num-records",
        str(records),
    ]
    words += [
        "--throughput",
        str(pace or -1),
        "--command-property",
        "acks=all",
        "enable.idempotence=true",
        "linger.ms=0",
    ]
    before = look(_pids(on))
    done = subprocess.run(
        components.kafka_tool(TOOL, *words), capture_output=True, text=True, timeout=LIMIT_SECONDS, check=True
    )
    spent = look(_pids(on)).since(before)
    found = TOLD.search(done.stdout.splitlines()[-1])
    assert found is not None, done.stdout
    rate, mean, p50, p99 = map(float, found.groups())
    return Sent(rate, mean, p50, p99, spent.per_order(records))


async def by_adapter(on: Stage, journal: KafkaJournal, frame: bytes, pace: int) -> Sent:
    """The journal's ``append``, a frame at a time: paced, or so many at once."""
    took: list[float] = []
    parts = itertools.cycle(range(on.settings.partitions))

    async def send() -> None:
        start = time.perf_counter()
        await journal.append([(next(parts), frame)])
        took.append(time.perf_counter() - start)

    async def send_on(until: float) -> None:
        while time.perf_counter() < until:
            await send()

    before = look(_pids(on))
    start = time.perf_counter()
    if pace:
        async with asyncio.TaskGroup() as sending:
            for number in range(int(pace * SECONDS)):
                await asyncio.sleep(start + number / pace - time.perf_counter())
                sending.create_task(send())
    else:
        await asyncio.gather(*(send_on(start + SECONDS) for _ in range(UNDER_WAY)))
    spent = look(_pids(on)).since(before)
    took.sort()
    mean, p50, p99 = (
        1000 * each for each in (sum(took) / len(took), took[len(took) // 2], took[len(took) * 99 // 100])
    )
    return Sent(len(took) / spent.at, mean, p50, p99, spent.per_order(len(took)))


async def read_back(on: Stage, journal: KafkaJournal) -> tuple[float, dict[str, float]]:
    """Frames a second of a reader from the beginning on, and what each cost."""
    ends = await journal.end_offsets()
    positions = dict.fromkeys(ends, 0)
    before = look(_pids(on))
    while left := {part: at for part, at in positions.items() if at < ends[part]}:
        for record in await journal.read(left, MAX_READ, 5.0):
            positions[record.part] = record.offset + 1
    spent = look(_pids(on)).since(before)
    frames = sum(ends.values())
    return frames / spent.at, spent.per_order(frames)


def _pids(on: Stage) -> dict[str, int]:
    return {"client": os.getpid(), "kafka": on.pids["kafka"]}


async def through(on: Stage, client: str, orders: int) -> dict[str, Any]:
    """What the adapter does with one library; on a topic of its own."""
    with topic(on) as name:
        journal = KafkaJournal(Brokers(servers=on.settings.kafka), name, library_named(client))
        await journal.open(on.settings.partitions)
        try:
            frame = frame_of(orders)
            paced = await by_adapter(on, journal, frame, PACE)
            fast = await by_adapter(on, journal, frame, 0)
            rate, cpu = await read_back(on, journal)
        finally:
            await journal.close()
    return {"paced": paced._asdict(), "fast": fast._asdict(), "read": {"frames_per_second": rate, "cpu_us": cpu}}


def measure(on: Stage) -> dict[str, Any]:
    """Everything, by size of the frame and by who sends."""
    sys.setswitchinterval(SWITCH_SECONDS)
    found: dict[str, Any] = {}
    for orders in ORDERS:
        size = len(frame_of(orders))
        sizes = found[f"{orders} orders a frame"] = {"bytes": size}
        for client in KAFKA_CLIENTS:
            try:
                library_named(client)
            except ModuleNotFoundError:
                continue  # the extra is not installed
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:  # as processes run
                sizes[client] = loop.run(through(on, client, orders))
        most = max(sizes[client]["fast"]["frames_per_second"] for client in KAFKA_CLIENTS if client in sizes)
        with topic(on) as name:
            paced = by_kafka(on, name, size, PACE, int(PACE * SECONDS))
            fast = by_kafka(on, name, size, 0, int(2 * most * SECONDS))
        sizes["kafka's own"] = {"paced": paced._asdict(), "fast": fast._asdict()}
    return found


def report(found: dict[str, Any]) -> None:
    """A line for each measurement."""
    print("\nKafka alone: acknowledged by all replicas, idempotent, a topic like the journal's")
    for frames, sizes in found.items():
        print(f"  {frames} ({sizes['bytes']:,} bytes)")
        for who, ways in sizes.items():
            if who != "bytes":
                for way, figure in ways.items():
                    print(f"    {who:13}{way:6}{_line(figure)}")


def _line(figure: dict[str, Any]) -> str:
    late = "acknowledged after {mean:.1f} ms  p50 {p50:.1f}  p99 {p99:.1f}".format(**figure) if "p50" in figure else ""
    costs = "  ".join(f"{name} {cost:g}" for name, cost in figure["cpu_us"].items())
    return f"{figure['frames_per_second']:10,.0f} frames/s   {late:46}   CPU us a frame: {costs}"
