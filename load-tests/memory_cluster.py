"""Resident memory of every process of a cluster over many batched orders: memory_cluster.py [ORDERS].

Two engines and two apis on real Kafka, PostgreSQL and Redis, and a stream process with a follower of every book and
all trades. All orders are told to the same accounts, and books stay shallow, so that what grows is what a process
keeps of the past. One line a sample; the figures are kept as results/memory-cluster.json.
"""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import websockets
from cluster_stage import ROOT, Stage, Trading, stage
from end_to_end import BATCH, SYMBOLS, Trader
from memory import MAX_ORDERS, SAMPLES, resident_mib
from wire import Connection, Signer

ROLES = ("engine-0", "engine-1", "api-0", "api-1", "stream-0")
CONNECTIONS = 12
RETRY_SECONDS = 0.5


class Sender:
    """One account on one connection to one api, a batch at a time."""

    def __init__(self, number: int, trading: Trading, port: int) -> None:
        self._signer, self._trader, self._port = Signer(trading.key, trading.secret, port), Trader(number), port
        self._connection: Connection | None = None

    async def send(self, batches: int) -> int:
        """Sends so many batches; returns how many orders were accepted."""
        if self._connection is None:
            self._connection = await Connection.open("127.0.0.1", self._port)
        accepted = 0
        for _ in range(batches):
            body = json.dumps({"orders": [self._trader.order() for _ in range(BATCH)]}).encode()
            status, answer = await self._connection.ask(self._signer.batch(body))
            accepted += answer.count(b'"orderId"') if status == 200 else 0
            if status != 200:
                await asyncio.sleep(RETRY_SECONDS)
        return accepted


@contextlib.asynccontextmanager
async def following(url: str) -> AsyncIterator[None]:
    """A client that reads the depth and the trades of every market that trades, and forgets them."""
    names = [f"{symbol.lower()}@{stream}" for symbol in SYMBOLS for stream in ("depth@100ms", "trade")]
    async with websockets.connect(f"{url}/stream?streams={'/'.join(names)}", max_size=None) as socket:

        async def read() -> None:
            async for _ in socket:
                pass

        reading = asyncio.create_task(read())
        try:
            yield
        finally:
            reading.cancel()


async def measure(on: Stage, traders: Sequence[Trading], orders: int) -> list[dict[str, Any]]:
    """A sample before the first order, and SAMPLES more at equal distances."""
    ports = [int(on.cluster.processes[name].environ["OUTCRY_PORT"]) for name in ("api-0", "api-1")]
    senders = [Sender(n, traders[n % len(traders)], ports[n % 2]) for n in range(CONNECTIONS)]
    batches = orders // BATCH // CONNECTIONS // SAMPLES
    samples = [_sample(on, 0)]
    async with following(on.cluster.stream_url):
        for _ in range(SAMPLES):
            start = time.perf_counter()
            done = sum(await asyncio.gather(*(sender.send(batches) for sender in senders)))
            samples.append(_sample(on, samples[-1]["orders"] + done))
            samples[-1]["orders_per_second"] = round(done / (time.perf_counter() - start))
            print(json.dumps(samples[-1]), flush=True)
    return samples


def _sample(on: Stage, orders: int) -> dict[str, Any]:
    return {"orders": orders, "resident_mib": {name: resident_mib(on.pids[name]) for name in ROLES}}


def main() -> None:
    """Measures, prints and keeps."""
    orders = min(int(sys.argv[1]) if len(sys.argv) > 1 else 2_000_000, MAX_ORDERS)
    with stage(apis=2, engines=2, streams=1) as on:
        traders = asyncio.run(on.traders())
        on.start(*ROLES)
        found = asyncio.run(measure(on, traders, orders))
    (ROOT / "results").mkdir(exist_ok=True)
    (ROOT / "results/memory-cluster.json").write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
