"""What telemetry costs an order: its notes alone, and the way from the desk to the answer with and without them.

    bench_telemetry.py [ORDERS]

The first table times the notes of one order in shapes that occur. The second sends orders through the desk of an
embedded exchange (hold, journal, match, commit, publish, answer, on a SQLite file), rounds with and without telemetry
in turn, and compares the CPU time of the process.
"""

import asyncio
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

from outcry.adapters.watched import EngineWatch
from outcry.codec import encode_frame
from outcry.market.commands import PlaceOrder, Tick
from outcry.market.terms import BUY, LIMIT, SELL
from outcry.ports import Publication
from outcry.roles.api.desknotes import DeskNotes
from outcry.roles.api.framing import Parcel
from outcry.roles.api.intents import Place
from outcry.roles.api.tickets import Request, Ticket
from outcry.rows import Advance, PartBatch, Record
from outcry.settings import Settings
from outcry.telemetry import Telemetry
from outcry.wiring.embedded import Exchange
from outcry.wiring.process import spare_the_collector

ROUNDS = 8
MAX_ORDERS = 100_000
REQUEST = 50  # orders of one request of the second table
WARM_UP = 10  # requests before a round is timed
AT_ONCE = 8  # requests under way
FRAME = encode_frame([Tick(command_id=1, symbol_id=1)])


class Idle:
    """Ports that do nothing, so that what is left is the watch around them."""

    def __init__(self, partitions: int) -> None:
        self.records = [Record(part, 0, 0, FRAME) for part in range(partitions)]

    async def read(self, positions: Mapping[int, int], max_records: int, wait_seconds: float) -> list[Record]:
        return self.records

    async def commit(self, parts: Sequence[PartBatch]) -> set[int]:
        return {batch.advance.part for batch in parts}

    async def publish(self, publication: Publication) -> None:
        return None


def desk_round(notes: DeskNotes, requests: int, orders: int) -> Callable[[], None]:
    """A micro-batch of some requests with so many orders each."""
    loop = asyncio.get_running_loop()
    now = time.monotonic()
    made = [Request(orders, loop.create_future(), "", now) for _ in range(requests)]
    intent: Any = None
    tickets = [Ticket(intent, 1, request, n, since=now) for request in made for n in range(orders)]
    for request in made:
        request.settled, request.commands = now, orders
    parcels = [Parcel(0, FRAME, tickets[n : n + 256]) for n in range(0, len(tickets), 256)]

    def work() -> None:
        notes.micro_batch.observe(len(tickets))
        held = notes.held(tickets)
        notes.journaled(parcels, held)
        for request in made:
            notes.settled(request, now)
            notes.answered(request, now, None)

    return work


async def engine_micros(telemetry: Telemetry, partitions: int, rounds: int) -> float:
    """Microseconds of one commit with a frame in each partition, less what the idle ports cost themselves."""
    idle: Any = Idle(partitions)
    watch = EngineWatch(telemetry)
    empty: list[Any] = []
    parts = [
        PartBatch(Advance(part, 1, 0, 1, 0, 1, 0, 0, b"", b""), *(empty for _ in PartBatch._fields[1:]))
        for part in range(partitions)
    ]
    positions = dict.fromkeys(range(partitions), 0)

    async def spent(journal: Any, ledger: Any, feed: Any) -> float:
        began = time.process_time()
        for _ in range(rounds):
            await journal.read(positions, 256, 0.5)
            await ledger.commit(parts)
            await feed.publish(Publication())
        return time.process_time() - began

    bare = await spent(idle, idle, idle)
    watched = await spent(watch.journal(idle), watch.ledger(idle), watch.publisher(idle))
    return (watched - bare) / rounds * 1e6


async def notes_table(rounds: int) -> None:
    """Microseconds of telemetry per order."""
    print(f"{'shape':<44}{'desk':>8}{'engine':>8}{'µs/order':>10}")
    for name, requests, orders, partitions in (
        ("single orders, alone", 1, 1, 1),
        ("single orders, 20 to a micro-batch", 20, 1, 4),
        ("requests of 50, 8 to a micro-batch", 8, 50, 4),
    ):
        telemetry = Telemetry()
        work = desk_round(DeskNotes(telemetry), requests, orders)
        began = time.process_time()
        for _ in range(rounds):
            work()
        count = requests * orders
        desk = (time.process_time() - began) / rounds / count * 1e6
        engine = await engine_micros(telemetry, partitions, rounds) / count
        print(f"{name:<44}{desk:>8.2f}{engine:>8.2f}{desk + engine:>10.2f}")


@contextmanager
def silent() -> Iterator[None]:
    """An exchange that is built within notes nothing on the way of an order."""

    def as_it_is(watch: EngineWatch, port: Any) -> Any:
        return port

    def held(notes: DeskNotes, tickets: Sequence[Ticket]) -> float:
        return 0.0

    def nothing(*_: Any, **__: Any) -> None:
        """Notes nothing."""

    patches = [mock.patch.object(EngineWatch, name, as_it_is) for name in ("journal", "ledger", "lease", "publisher")]
    patches += [mock.patch.object(DeskNotes, name, nothing) for name in ("journaled", "settled", "answered")]
    patches.append(mock.patch.object(DeskNotes, "held", held))
    for patch in patches:
        patch.start()
    yield
    for patch in patches:
        patch.stop()


def places(exchange: Exchange) -> Iterator[list[Place]]:
    """Requests whose orders meet: buys and sells of the demo accounts at one price in turn."""
    instrument = exchange.venue.instruments["BTCUSD"]
    template = {"command_id": 0, "symbol_id": instrument.symbol_id, "order_id": 0, "type": LIMIT, "qty": 1}
    fees = {"maker_ppm": 1000, "taker_ppm": 1000, "price": 6_000_000}
    for number in itertools.count():
        request = []
        for n in range(REQUEST):
            buys = n % 2 == 0
            order = PlaceOrder(
                **template, **fees, account=1001 if buys else 1002, side=BUY if buys else SELL, held=0,
                client_order_id=f"b{number}-{n}",
            )  # fmt: skip
            asset = instrument.quote_asset if buys else instrument.base_asset
            need = order.price * instrument.quote_unit if buys else instrument.lot_size
            request.append(Place(instrument=instrument, order=order, asset=asset, need=need))
        yield request


async def path_micros(orders: int) -> float:
    """CPU microseconds of the process per order, from the desk to the answer."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=str(Path(folder)), simulation_enabled=False, limits="off")
        exchange = Exchange(settings, lambda line: None)
        await exchange.start()
        try:
            requests = places(exchange)
            for _ in range(WARM_UP):
                await exchange.desk.submit_all(next(requests))
            spare_the_collector()

            async def send(count: int) -> None:
                for _ in range(count):
                    await exchange.desk.submit_all(next(requests), began=time.monotonic())

            began = time.process_time()
            await asyncio.gather(*(send(orders // REQUEST // AT_ONCE) for _ in range(AT_ONCE)))
            done = orders // REQUEST // AT_ONCE * AT_ONCE * REQUEST
            return (time.process_time() - began) / done * 1e6
        finally:
            await exchange.stop()


async def path_table(orders: int) -> None:
    """The way of an order with and without telemetry."""
    found: dict[str, list[float]] = {"with": [], "without": []}
    for number in range(ROUNDS):
        for name in ("with", "without") if number % 2 else ("without", "with"):
            with silent() if name == "without" else nullcontext():
                found[name].append(await path_micros(orders))
    for name, figures in found.items():
        spread = max(figures) - min(figures)
        print(f"{name + ' telemetry':<44}{statistics.median(figures):>8.1f} µs/order (±{spread / 2:.1f})")
    without = statistics.median(found["without"])
    difference = statistics.median(a - b for a, b in zip(found["with"], found["without"], strict=True))
    print(f"{'difference, median of pairs':<44}{difference:>8.2f} µs/order = {difference / without:.1%}")


async def main() -> None:
    orders = min(int(sys.argv[1]) if len(sys.argv) > 1 else 4_000, MAX_ORDERS)
    await notes_table(2_000)
    print()
    await path_table(orders)


if __name__ == "__main__":
    asyncio.run(main())
