"""Measures the PostgreSQL ledger: holds, engine transactions, folds, and all three together, in orders per second.

    OUTCRY_POSTGRES=postgresql://... bench_ledger.py [SECONDS]

Each line also tells the CPU per order: this process (client) and the server's processes apart, the latter where the
server runs on this machine. "bare" is asyncpg alone with the same statements and rows that were ready beforehand. The
numbers are those of a database made for it and dropped afterwards.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "services"))

import asyncpg
import uvloop
from ledger_rows import ACCOUNTS, PARTS, START_MS, Market
from ledger_server import server_cpu

from outcry.adapters.postgres import PgStore
from outcry.adapters.postgres.holds import HOLD, columns, grouped
from outcry.adapters.postgres.results import Commit
from outcry.adapters.postgres.sessions import SHARED_SETTINGS, WRITER_SETTINGS
from outcry.claims import HELD, HoldRequest
from outcry.rows import PartBatch
from tests.support.postgres import empty_database

SECONDS = float(sys.argv[1]) if __name__ == "__main__" and len(sys.argv) > 1 else 5.0
FOLD_SECONDS = 0.25
HOLDERS = 2  # tasks that hold side by side when all works together

Held = list[tuple[HoldRequest, int]]


class Meter:
    """Counts orders over a time and prints a line."""

    def __init__(self, url: str, what: str) -> None:
        self._url = url
        self._what = what
        self._waits: list[float] = []
        self._orders = 0

    async def run(self, step: Callable[[], Awaitable[int]], *, most: int = 1 << 60) -> None:
        """Repeats a step, which returns the orders that it dealt with, for the time of the measurement."""
        client, server, start = time.process_time(), server_cpu(self._url), time.perf_counter()
        deadline = start + SECONDS
        while (begun := time.perf_counter()) < deadline and len(self._waits) < most:
            self._orders += await step()
            self._waits.append(time.perf_counter() - begun)
        elapsed = time.perf_counter() - start
        self.report(elapsed, time.process_time() - client, server_cpu(self._url) - server)

    def report(self, elapsed: float, client: float, server: float) -> None:
        waits = sorted(self._waits)
        p50, p99 = (waits[int(len(waits) * share)] * 1e3 for share in (0.5, 0.99))
        each = 1e6 / max(self._orders, 1)
        print(
            f"{self._what:44} {self._orders / elapsed:9,.0f} orders/s   p50 {p50:6.2f} ms  p99 {p99:6.2f} ms"
            f"   client {client * each:5.1f} µs  server {server * each:5.1f} µs",
            flush=True,
        )


@asynccontextmanager
async def venue() -> AsyncIterator[tuple[str, PgStore]]:
    """A migrated database with funded accounts, its partitions taken over."""
    with empty_database() as url:
        store = PgStore(url)
        await store.migrate()
        await store.open()
        try:
            async with store._database.pool.acquire() as connection:
                await connection.execute(f"SELECT outcry_make_days({START_MS}, 2)")
                await connection.execute(
                    f"INSERT INTO balances SELECT a, s, 1::bigint << 50, 0 FROM generate_series(0, {ACCOUNTS}) AS a,"
                    " generate_series(1, 2) AS s"
                )
            for part in range(PARTS):
                assert await store.lease.takeover(part, "bench/1")
            yield url, store
        finally:
            await store.close()


async def hold(store: PgStore, requests: Sequence[HoldRequest]) -> Held:
    results = await store.ledger.hold(requests)
    return [
        (request, result.order_id) for request, result in zip(requests, results, strict=True) if result.status == HELD
    ]


async def holds(size: int) -> None:
    """The port, then the bare statement with the same arrays."""
    count = int(40_000 * SECONDS / size)
    async with venue() as (url, store):
        market = Market(size)
        asked = iter([market.requests(size) for _ in range(count)])

        async def step() -> int:
            return len(await store.ledger.hold(next(asked)))

        await Meter(url, f"hold, {size} per statement").run(step, most=count)
    async with venue() as (url, _):
        market = Market(size)
        connection = await asyncpg.connect(url, server_settings=SHARED_SETTINGS)
        ready = iter([columns(grouped(market.requests(size))) for _ in range(count)])

        async def bare() -> int:
            return len(await connection.fetch(HOLD, "orders", *next(ready)))

        await Meter(url, "  bare").run(bare, most=count)
        await connection.close()


async def made_ready(store: PgStore, market: Market, size: int, count: int) -> list[list[PartBatch]]:
    """Batches whose orders have their holds."""
    return [market.batches(await hold(store, market.requests(size))) for _ in range(count)]


async def commits(size: int) -> None:
    """The port, then the bare statements with the same rows."""
    count = int(40_000 * SECONDS / size)
    for bare in (False, True):
        async with venue() as (url, store):
            ready = iter(await made_ready(store, Market(size), size, count))
            connection = await asyncpg.connect(url, server_settings=WRITER_SETTINGS)

            async def step(ready: Any = ready, store: PgStore = store) -> int:
                batches = next(ready)
                assert len(await store.ledger.commit(batches)) == len(batches)
                return size

            script = iter([bare_commit(batches) for batches in ready]) if bare else iter(())

            async def bare_step(script: Any = script, connection: Any = connection) -> int:
                for call in next(script):
                    await call(connection)
                return size

            name = "  bare" if bare else f"engine transaction, {size} commands"
            await Meter(url, name).run(bare_step if bare else step, most=count)
            await connection.close()


class Recorder:
    """Stands in for a connection: notes the calls of a commit, to make them again without its Python."""

    def __init__(self, named: Sequence[int]) -> None:
        self.calls: list[Callable[[Any], Awaitable[Any]]] = []
        self._named = named

    async def execute(self, text: str, *values: Any) -> str:
        self.calls.append(lambda connection: connection.execute(text, *values))
        return f"UPDATE {len(values[0]) if values else 0}"

    async def fetch(self, text: str, *values: Any) -> list[tuple[int]]:
        self.calls.append(lambda connection: connection.fetch(text, *values))
        return [(part,) for part in self._named]

    async def copy_records_to_table(self, table: str, **more: Any) -> None:
        self.calls.append(lambda connection: connection.copy_records_to_table(table, **more))


def bare_commit(batches: Sequence[PartBatch]) -> list[Callable[[Any], Awaitable[Any]]]:
    """The statements of one commit, their values ready."""
    recorder = Recorder([batch.advance.part for batch in batches])

    class Place:
        topic, lease_ms = "orders", 6_000

    coroutine = Commit(batches).attempt(recorder, Place())  # type: ignore[arg-type]
    try:
        coroutine.send(None)
    except StopIteration:
        return recorder.calls
    raise AssertionError("a recorder never waits")


async def folds(size: int) -> None:
    async with venue() as (url, store):
        market = Market(size)
        for batches in await made_ready(store, market, size, int(20_000 * SECONDS / size)):
            await store.ledger.commit(batches)
        parts = list(range(PARTS))

        async def step() -> int:
            part = parts[0]
            parts.append(parts.pop(0))
            return await store.ledger.fold([part]) // 3  # six postings for the two orders of a trade

        await Meter(url, "fold, 5,000 postings at once").run(step, most=int(20_000 * SECONDS / 5_000 * 3))


async def together(size: int) -> None:
    """Holds on two tasks, one engine, one folder: what a primary carries of the whole path."""
    async with venue() as (url, store):
        market = Market(size)
        waiting: asyncio.Queue[Held] = asyncio.Queue(maxsize=2 * size // 50)
        over = asyncio.Event()

        async def api() -> None:
            while not over.is_set():
                await waiting.put(await hold(store, market.requests(50)))

        async def keeper() -> None:
            while not over.is_set():
                await store.ledger.fold(range(PARTS))
                await asyncio.sleep(FOLD_SECONDS)

        async def engine() -> int:
            held = await waiting.get()
            while not waiting.empty() and len(held) < size:
                held += waiting.get_nowait()
            assert await store.ledger.commit(market.batches(held))
            return len(held)

        tasks = [asyncio.create_task(each) for each in (*(api() for _ in range(HOLDERS)), keeper())]
        await Meter(url, f"hold + engine + fold, ≤ {size} commands").run(engine)
        over.set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def main() -> None:
    for size in (50, 200):
        await holds(size)
    for size in (500, 1_000):
        await commits(size)
    await folds(500)
    for size in (500, 1_000):
        await together(size)


if __name__ == "__main__":
    uvloop.run(main())
