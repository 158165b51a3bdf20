"""What an order costs an engine as the exchange grows: partitions, resting orders, stored trades; what a load takes.

    growth.py [partitions] [resting] [trades]

Every figure is CPU of the engine role and of PostgreSQL an order, over one flow of orders that wait in the journal.
Each kind of growth has a cluster of its own; with a million resting orders it takes some ten minutes in all.
"""

import asyncio
import gc
import json
import os
import sys
import time
from collections.abc import Sequence
from typing import Any

import asyncpg
import msgspec
from cluster_stage import ASSETS, ROOT, Stage, Trading, stage
from engine_alone import Quoting, by_engine, fill

from outcry.codec import encode_frame
from outcry.market.commands import SetInstrument
from outcry.roles.admin.demo import PAIRS, instrument_of
from outcry.roles.engine.opening import Opening, uncollected
from outcry.roles.engine.session import Session

ORDERS = int(os.environ.get("GROWTH_ORDERS", "40000"))  # of each measurement
PARTITIONS = (1, 8, 64)
SYMBOLS = 64
RESTING = (1_000, 100_000, 1_000_000)
TRADES = (0, 10_000_000)
FIRST_SYMBOL = 101
GAP = 2_000  # ticks between the two sides of orders that are to stay
MANY = 1_000_000_000  # open orders that one account may have

# Trades of a symbol that nobody trades, of accounts that do, in today's table and its indexes.
PUT_TRADES = """
INSERT INTO trades SELECT 9999, n, n, 0, n, n % 2147483647, outcry_now_ms(), 100, 1, 100, (n % 2)::smallint, n, n + 1,
       $1::bigint + n % 50, $1::bigint + (n * 7) % 50, 0, 0
  FROM generate_series($2::bigint, $3::bigint) AS n
"""
AT_ONCE = 1_000_000

Row = dict[str, Any]


async def listed(on: Stage, count: int) -> list[Quoting]:
    """Lists so many symbols, spread over all partitions."""
    async with on.backbone() as backbone:
        assets = {row.asset: row.asset_id for row in await backbone.ledger.assets()}
        pairs = [pair for pair in PAIRS if pair.base in ASSETS]
        quotes, frames = [], []
        for n in range(count):
            pair = pairs[n % len(pairs)]
            instrument = msgspec.structs.replace(
                instrument_of(pair, assets, on.settings.partitions), symbol_id=FIRST_SYMBOL + n,
                symbol=f"{pair.base}{n}USD", partition=n % on.settings.partitions, max_orders=MANY,
            )  # fmt: skip
            command = SetInstrument(command_id=0, symbol_id=instrument.symbol_id, instrument=instrument)
            frames.append((instrument.partition, encode_frame([command])))
            quotes.append(Quoting(instrument, pair.reference))
        await backbone.journal.append(frames)
    return quotes


async def cost(on: Stage, traders: Sequence[Trading], quotes: Sequence[Quoting], orders: int = ORDERS) -> Row:
    """What an order of a flow costs, from the engine's first commit to its last."""
    before = await _applied(on)
    filled = await fill(on, traders, orders, quotes)
    found = await by_engine(on, filled, before)
    on.end("engine-0")
    cpu = found.cpu_us
    return {
        "engine": cpu["engine-0"], "postgres": cpu["postgres"], "both": round(cpu["engine-0"] + cpu["postgres"], 1),
        "orders_per_second": round(found.orders_per_second), "others": found.others,
    }  # fmt: skip


async def _applied(on: Stage) -> int:
    connection = await asyncpg.connect(on.settings.postgres)
    applied = await connection.fetchval("SELECT coalesce(sum(next_offset), 0)::bigint FROM engine_partition")
    await connection.close()
    return int(applied)


async def by_partitions() -> list[Row]:
    """The same symbols over more and more partitions of one engine."""
    rows = []
    for partitions in PARTITIONS:
        with stage(partitions=partitions) as on:
            traders = await on.traders()
            rows.append({"partitions": partitions, **await cost(on, traders, await listed(on, SYMBOLS))})
            _tell(rows[-1])
    return rows


async def by_resting() -> list[Row]:
    """One partition with more and more resting orders, and what it takes to load them."""
    rows: list[Row] = []
    with stage(partitions=1) as on:
        traders = await on.traders()
        quotes = await listed(on, len(ASSETS) - 1)
        resting = 0
        for target in RESTING:
            await cost(on, traders, [each._replace(gap=GAP) for each in quotes], target - resting)
            resting = target
            loaded = await load(on)
            rows.append({"resting": target, **loaded, **await cost(on, traders, quotes)})
            _tell(rows[-1])
    return rows


async def load(on: Stage) -> Row:
    """Seconds to read the partition, build its book and check it, as a takeover does, and CPU seconds of that here."""
    async with on.backbone() as backbone:
        opening, start, cpu = Opening(), time.perf_counter(), time.process_time()
        with uncollected(0):
            state = await backbone.ledger.load(0, opening)
        session = opening.check(state, None)
        found = {"load_s": round(time.perf_counter() - start, 2), "load_cpu_s": round(time.process_time() - cpu, 2)}
        assert isinstance(session, Session), session
    del opening, state, session
    gc.collect()
    return found


async def by_trades() -> list[Row]:
    """The same flow beside more and more stored trades of the same accounts."""
    rows: list[Row] = []
    with stage() as on:
        traders = await on.traders()
        quotes = await listed(on, len(ASSETS) - 1)
        stored = 0
        await cost(on, traders, quotes, 2_000)  # today's tables are there from now on
        for target in TRADES:
            await _store_trades(on, traders[0].account, stored, target)
            stored = target
            rows.append({"trades": target, **await cost(on, traders, quotes)})
            _tell(rows[-1])
    return rows


async def _store_trades(on: Stage, first_account: int, start: int, stop: int) -> None:
    connection = await asyncpg.connect(on.settings.postgres)
    for first in range(start, stop, AT_ONCE):
        await connection.execute(PUT_TRADES, first_account, first + 1, min(first + AT_ONCE, stop))
    await connection.execute("CHECKPOINT")
    await connection.close()


def _tell(row: Row) -> None:
    print("  ".join(f"{name} {value:,}" for name, value in row.items()), flush=True)


def main() -> None:
    """Prints rows as they come and keeps them as results/growth.json."""
    kinds = {"partitions": by_partitions, "resting": by_resting, "trades": by_trades}
    chosen = sys.argv[1:] or list(kinds)
    found = {name: asyncio.run(kinds[name]()) for name in chosen}
    (ROOT / "results").mkdir(exist_ok=True)
    (ROOT / "results/growth.json").write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
