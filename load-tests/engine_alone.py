"""The engine role alone on a journal full of orders that have their holds, and the same rows by bare statements.

All work on equal copies of one database: the statements of the engine's transactions with values that are ready (what
PostgreSQL and its driver can do at best), the ledger's port with the same rows, and then the engine as a process.
"""

import asyncio
import itertools
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import msgspec
from bench_ledger import bare_commit
from cluster_stage import ASSETS, Stage, Trading
from usage import look

from outcry.adapters.postgres import PgStore
from outcry.adapters.postgres.sessions import WRITER_SETTINGS
from outcry.claims import HELD, HoldRequest
from outcry.codec import encode_command, encode_frame
from outcry.market.commands import PlaceOrder
from outcry.market.instrument import Instrument
from outcry.market.terms import BUY, LIMIT, SELL
from outcry.roles.admin.demo import PAIRS, instrument_of
from outcry.roles.engine.session import Session, genesis
from outcry.roles.engine.stepping import with_told
from outcry.rows import PartBatch, Record
from outcry.wiring.backbone import Backbone

FRAME = 32  # orders
HOLDS = 200  # orders a statement
APPENDS = 64  # frames on their way at once
BATCH = 1_000  # commands of a transaction
WINDOW_MS = 60_000
POLL_SECONDS = 0.05
SPREAD = 12  # ticks around the middle within which everybody quotes: half of the orders find somebody


class Quoting(NamedTuple):
    """A symbol, and where its orders are: around a middle; with a gap, in ticks, nobody finds anybody."""

    instrument: Instrument
    middle: int
    gap: int = 0

    def price(self, dice: Random, side: int) -> int:
        """In ticks."""
        if not self.gap:
            return self.middle + dice.randint(-SPREAD, SPREAD)
        distance = dice.randint(self.gap, 2 * self.gap)
        return self.middle - distance if side == BUY else self.middle + distance


class Filled(NamedTuple):
    """A journal with work: where it stands, and how many orders it holds."""

    orders: int
    ends: dict[int, int]  # by partition


class Cost(NamedTuple):
    """What one way to do the work took."""

    orders_per_second: float
    cpu_us: dict[str, float]  # an order, by process
    others: float  # cores that others kept busy


async def quoted(on: Stage, backbone: Backbone) -> list[Quoting]:
    """The symbols of the demo venue of which the traders have something."""
    assets = {row.asset: row.asset_id for row in await backbone.ledger.assets()}
    return [
        Quoting(instrument_of(pair, assets, on.settings.partitions), pair.reference)
        for pair in PAIRS if pair.base in ASSETS
    ]  # fmt: skip


async def fill(on: Stage, traders: Sequence[Trading], orders: int, quotes: Sequence[Quoting] | None = None) -> Filled:
    """Takes the holds of random limit orders and journals them, a commit's worth at a time."""
    dice = Random(orders)
    async with on.backbone() as backbone:
        quotes = quotes or await quoted(on, backbone)
        frames: list[tuple[int, bytes]] = []
        stacks: dict[int, list[PlaceOrder]] = {}
        numbers = itertools.count(time.time_ns() // 1_000)
        for _ in range(orders // HOLDS):
            asked = [_order(dice, dice.choice(quotes), traders, next(numbers)) for _ in range(HOLDS)]
            for order, instrument in await _hold(backbone, asked):
                stack = stacks.setdefault(instrument.partition, [])
                stack.append(order)
                if len(stack) == FRAME:
                    frames.append((instrument.partition, encode_frame(stack, reply_to="bench")))
                    stack.clear()
            if len(frames) >= APPENDS:
                await backbone.journal.append(frames)
                frames.clear()
        frames += [(part, encode_frame(stack, reply_to="bench")) for part, stack in stacks.items() if stack]
        await backbone.journal.append(frames)
        return Filled(orders // HOLDS * HOLDS, await backbone.journal.end_offsets())


def _order(dice: Random, quoting: Quoting, traders: Sequence[Trading], number: int) -> tuple[PlaceOrder, Instrument]:
    instrument, side = quoting.instrument, dice.choice((BUY, SELL))
    order = PlaceOrder(
        command_id=number, symbol_id=instrument.symbol_id, order_id=0, account=dice.choice(traders).account,
        client_order_id=f"bench-{number:09d}", side=side, type=LIMIT, price=quoting.price(dice, side),
        qty=_lots(instrument, quoting.middle) * dice.randint(1, 9), maker_ppm=1_000, taker_ppm=1_000,
    )  # fmt: skip
    held = order.price * order.qty * instrument.quote_unit if order.side == BUY else order.qty * instrument.lot_size
    return msgspec.structs.replace(order, held=held), instrument


def _lots(instrument: Instrument, price: int) -> int:
    """As many lots as are worth the smallest order."""
    return -(-2 * instrument.min_notional // (price * instrument.quote_unit))


async def _hold(
    backbone: Backbone, asked: Sequence[tuple[PlaceOrder, Instrument]]
) -> list[tuple[PlaceOrder, Instrument]]:
    requests = [
        HoldRequest(
            instrument.partition, order.account, order.symbol_id,
            instrument.quote_asset if order.side == BUY else instrument.base_asset, order.held, order.client_order_id,
            WINDOW_MS, encode_command(order), n,
        )
        for n, (order, instrument) in enumerate(asked)
    ]  # fmt: skip
    found = []
    for (order, instrument), result in zip(asked, await backbone.ledger.hold(requests), strict=True):
        assert result.status == HELD, f"a hold is refused: {result.status}"
        stamped = msgspec.structs.replace(
            order, order_id=result.order_id, intake_ms=result.intake_ms, valid_until_ms=result.valid_until_ms
        )
        found.append((stamped, instrument))
    return found


async def batches_of(on: Stage, filled: Filled) -> tuple[list[list[PartBatch]], float]:
    """The engine's transactions over the whole journal, and the microseconds of CPU that an order took to match."""
    async with on.backbone() as backbone:
        records: dict[int, list[Record]] = {part: [] for part in filled.ends}
        positions = dict.fromkeys(filled.ends, 0)
        while left := {part: at for part, at in positions.items() if at < filled.ends[part]}:
            for record in await backbone.journal.read(left, 512, 5.0):
                records[record.part].append(record)
                positions[record.part] = record.offset + 1
    sessions = {part: Session(genesis(part)) for part in records}
    for session in sessions.values():
        session.epoch = 1
    queue = [each for turn in itertools.zip_longest(*records.values()) for each in turn if each is not None]
    start, made, commands = time.process_time(), [], 0
    for record in queue:
        sessions[record.part].apply(record)
        commands += FRAME
        if commands >= BATCH:
            made.append(_taken(sessions))
            commands = 0
    made.append(_taken(sessions))
    return [each for each in made if each], (time.process_time() - start) * 1e6 / filled.orders


def _taken(sessions: dict[int, Session]) -> list[PartBatch]:
    return [with_told(session.take())[0] for session in sessions.values() if session.changed]


async def by_statements(on: Stage, batches: Sequence[list[PartBatch]], orders: int) -> Cost:
    """Nothing but the statements, their values ready."""
    url = await _copy(on, "bench_bare")
    scripts = [bare_commit(each) for each in batches]
    connection = await asyncpg.connect(url, server_settings=WRITER_SETTINGS)

    async def work() -> None:
        for script in scripts:
            for call in script:
                await call(connection)

    cost = await _measured(on, work, orders)
    await connection.close()
    return cost


async def by_port(on: Stage, batches: Sequence[list[PartBatch]], orders: int) -> Cost:
    """The ledger's port, with rows that are ready."""
    store = PgStore(await _copy(on, "bench_port"))
    await store.open()

    async def work() -> None:
        for each in batches:
            assert len(await store.ledger.commit(each)) == len(each)

    cost = await _measured(on, work, orders)
    await store.close()
    return cost


async def by_engine(on: Stage, filled: Filled, since: int = 0) -> Cost:
    """The role as a process; what its start costs is left out. ``since`` is how many records were applied before."""
    connection = await asyncpg.connect(on.settings.postgres)

    async def applied() -> int:
        return int(await connection.fetchval("SELECT coalesce(sum(next_offset), 0) FROM engine_partition"))

    on.launch("engine-0")
    while (first := await applied()) <= since + len(filled.ends) * 2:  # noqa: ASYNC110
        await asyncio.sleep(POLL_SECONDS)
    before = on.usage()
    total = sum(filled.ends.values())
    while (now := await applied()) < total:  # noqa: ASYNC110
        await asyncio.sleep(POLL_SECONDS)
    spent = on.usage().since(before)
    await connection.close()
    orders = (now - first) * filled.orders / (total - since)
    return Cost(orders / spent.at, spent.per_order(round(orders)), spent.cores_of_others)


async def _measured(on: Stage, work: Callable[[], Awaitable[None]], orders: int) -> Cost:
    pids = {"client": os.getpid(), "postgres": on.pids["postgres"]}
    before = look(pids)
    await work()
    spent = look(pids).since(before)
    return Cost(orders / spent.at, spent.per_order(orders), spent.cores_of_others)


async def _copy(on: Stage, name: str) -> str:
    """The URL of a copy of the database, its partitions taken over."""
    parts = urlsplit(on.settings.postgres)
    connection = await asyncpg.connect(urlunsplit(parts._replace(path="/template1")))
    await connection.execute(f"CREATE DATABASE {name} TEMPLATE {parts.path.strip('/')}")
    await connection.close()
    url = urlunsplit(parts._replace(path=f"/{name}"))
    store = PgStore(url)
    await store.open()
    for part in range(on.settings.partitions):
        assert await store.lease.takeover(part, "bench/1")
    await store.close()
    return url


async def measure(on: Stage, traders: Sequence[Trading], orders: int) -> dict[str, Any]:
    """Fills the journal and lets each way do the work; costs by name."""
    filled = await fill(on, traders, orders)
    batches, matching_us = await batches_of(on, filled)
    found: dict[str, Any] = {"orders": filled.orders, "transactions": len(batches), "matching_us": matching_us}
    found["trades"] = sum(len(part.trades) for batch in batches for part in batch)
    found["bare"] = await by_statements(on, batches, filled.orders)
    found["port"] = await by_port(on, batches, filled.orders)
    found["engine"] = await by_engine(on, filled)
    return {name: each._asdict() if isinstance(each, Cost) else each for name, each in found.items()}
