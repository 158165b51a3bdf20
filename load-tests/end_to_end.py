"""Orders per second and latency of an exchange by one way of entry: end_to_end.py URL SECONDS rest|socket|batch."""

import asyncio
import itertools
import json
import random
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import websockets
from wire import Connection, Signer

KEYS = [("outcry-demo-key-1", "outcry-demo-secret-1"), ("outcry-demo-key-2", "outcry-demo-secret-2")]
REST_CONNECTIONS = 48
SOCKETS, IN_FLIGHT = 4, 64
BATCH_CONNECTIONS, BATCH = 24, 50
MAX_SECONDS = 120
NAMES = {"rest": "single REST", "socket": "WebSocket API", "batch": "batch of 50"}
STRETCH = 20  # orders before a worker changes sides
SYMBOLS = {"BTCUSD": (20_000, 0.01), "ETHUSD": (2_000, 0.1), "SOLUSD": (100, 1.0), "ADAUSD": (1, 100.0)}


@dataclass
class Tally:
    """What one way of entry achieved."""

    name: str
    orders: int = 0
    errors: int = 0
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)

    def figures(self) -> dict[str, Any]:
        """Orders/s and latency in milliseconds per request."""
        ordered = sorted(self.latencies)

        def at(share: float) -> float:
            return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000, 2) if ordered else 0.0

        return {
            "name": self.name,
            "orders_per_second": round(self.orders / self.seconds),
            "orders": self.orders,
            "errors": self.errors,
            "p50_ms": at(0.5),
            "p95_ms": at(0.95),
            "p99_ms": at(0.99),
        }


class Trader:
    """Sends limit orders that meet the other account's: sides alternate in stretches, so that books stay shallow."""

    def __init__(self, number: int) -> None:
        self._dice = random.Random(number)
        self._number = number
        self._sent = 0

    def order(self) -> dict[str, str]:
        """The next order: a buy a little above the middle or a sell a little below it."""
        buys = (self._sent // STRETCH + self._number) % 2 == 0
        self._sent += 1
        symbol, (middle, size) = self._dice.choice(list(SYMBOLS.items()))
        offset = self._dice.randint(0, 20) / 10_000 * (1 if buys else -1)
        return {
            "symbol": symbol,
            "side": "BUY" if buys else "SELL",
            "type": "LIMIT",
            "timeInForce": "GTC",
            "quantity": f"{size * self._dice.randint(1, 9):.5f}".rstrip("0").rstrip("."),
            "price": f"{middle * (1 + offset):.4f}"[:-2],
            "newOrderRespType": "ACK",
        }


async def measure(
    name: str, seconds: float, workers: list[Callable[[Tally, float], Awaitable[None]]]
) -> dict[str, Any]:
    """Runs all workers until the time is over."""
    tally = Tally(name)
    start = time.perf_counter()
    await asyncio.gather(*(worker(tally, start + seconds) for worker in workers))
    tally.seconds = time.perf_counter() - start
    return tally.figures()


def rest_worker(port: int, number: int) -> Callable[[Tally, float], Awaitable[None]]:
    signer, trader = Signer(*KEYS[number % 2], port), Trader(number)

    async def work(tally: Tally, until: float) -> None:
        connection = await Connection.open("127.0.0.1", port)
        while (begun := time.perf_counter()) < until:
            status, _ = await connection.ask(signer.order(trader.order()))
            tally.latencies.append(time.perf_counter() - begun)
            tally.orders += status == 200
            tally.errors += status != 200
        connection.close()

    return work


def batch_worker(port: int, number: int) -> Callable[[Tally, float], Awaitable[None]]:
    signer, trader = Signer(*KEYS[number % 2], port), Trader(number)
    bodies = [json.dumps({"orders": [trader.order() for _ in range(BATCH)]}).encode() for _ in range(40)]

    async def work(tally: Tally, until: float) -> None:
        connection = await Connection.open("127.0.0.1", port)
        for body in itertools.cycle(bodies):
            if (begun := time.perf_counter()) >= until:
                break
            status, answer = await connection.ask(signer.batch(body))
            tally.latencies.append(time.perf_counter() - begun)
            done = answer.count(b'"orderId"') if status == 200 else 0
            tally.orders += done
            tally.errors += BATCH - done
        connection.close()

    return work


def socket_worker(port: int, number: int) -> Callable[[Tally, float], Awaitable[None]]:
    key, secret = KEYS[number % 2]
    signer, trader = Signer(key, secret, port), Trader(number)

    async def work(tally: Tally, until: float) -> None:
        async with websockets.connect(
            f"ws://127.0.0.1:{port}/ws-api/v3?returnRateLimits=false", compression=None
        ) as socket:
            now = int(time.time() * 1000)
            signed = f"apiKey={key}&recvWindow=5000&timestamp={now}"
            await socket.send(
                json.dumps(
                    {
                        "id": 0,
                        "method": "session.logon",
                        "params": {
                            "apiKey": key,
                            "recvWindow": 5000,
                            "timestamp": now,
                            "signature": signer.signature(signed.encode()),
                        },
                    }
                )
            )
            assert json.loads(await socket.recv())["status"] == 200
            await pipeline(socket, tally, until, trader)

    return work


async def pipeline(socket: Any, tally: Tally, until: float, trader: Trader) -> None:
    """Keeps IN_FLIGHT order.place requests on their way over one logged-on socket."""
    begun: dict[int, float] = {}
    numbers = itertools.count(1)

    async def send() -> None:
        number = next(numbers)
        begun[number] = time.perf_counter()
        params = {**trader.order(), "timestamp": int(time.time() * 1000)}
        await socket.send(json.dumps({"id": number, "method": "order.place", "params": params}))

    for _ in range(IN_FLIGHT):
        await send()
    while begun:
        answer = json.loads(await socket.recv())
        tally.latencies.append(time.perf_counter() - begun.pop(answer["id"]))
        tally.orders += answer["status"] == 200
        tally.errors += answer["status"] != 200
        if time.perf_counter() < until:
            await send()


async def main() -> None:
    port, seconds = urlsplit(sys.argv[1]).port, min(float(sys.argv[2]), MAX_SECONDS)
    assert port is not None
    ways = {
        "rest": [rest_worker(port, n) for n in range(REST_CONNECTIONS)],
        "socket": [socket_worker(port, n) for n in range(SOCKETS)],
        "batch": [batch_worker(port, n) for n in range(BATCH_CONNECTIONS)],
    }
    print(json.dumps(await measure(NAMES[sys.argv[3]], seconds, ways[sys.argv[3]])))


if __name__ == "__main__":
    asyncio.run(main())
