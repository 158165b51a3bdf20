"""Sends orders at a constant rate whatever comes back, and tells how late each answer was: one way of entry.

    open_loop.py < {"way": "rest|socket|batch", "port": .., "rate": .., "seconds": .., "warm": .., "keys": ..}

The rate is of orders a second; what is due in the first ``warm`` seconds does not count.

Latency counts from the moment at which a request was due, so that one that had to wait for a free connection is as
late as its client would find it. All requests are made and signed beforehand. Prints one line of JSON.
"""

import asyncio
import gc
import json
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import uvloop
from end_to_end import BATCH, Trader
from links import HttpLink, Link, SocketLink
from wire import Signer

MAX_SECONDS = 60  # requests are signed beforehand with a window of a minute
MAX_RATE = 30_000
CONNECTIONS = {"rest": 128, "socket": 8, "batch": 64}
IN_FLIGHT = {"rest": 1, "socket": 500, "batch": 1}
PATIENCE_SECONDS = 12.0  # an exchange says after 9 that it does not know
PACE_SECONDS = 0.001


class Load:
    """Requests that are due at equal steps, handed to links as soon as one is free."""

    def __init__(self, requests: Sequence[bytes], weight: int, rate: float) -> None:
        self._requests = requests
        self._step = weight / rate
        self._weight = weight
        self._next = 0
        self._free: deque[Link] = deque()
        self._late: list[tuple[float, float, int]] = []  # when it was due, how late its answer was, orders accepted
        self._waiting: deque[int] = deque()  # due, and no link free
        self.start = 0.0

    @property
    def answered(self) -> int:
        return len(self._late)

    def add(self, link: Link, places: int) -> None:
        """Puts a link to use for so many requests at a time."""
        link.on_answer = self._answered
        self._free.extend([link] * places)

    async def run(self) -> None:
        """Sends all requests when they are due; waits for the last answers."""
        self.start = time.perf_counter() + 0.05
        while self._next < len(self._requests):
            self._send_due(time.perf_counter())
            await asyncio.sleep(PACE_SECONDS)
        until = time.perf_counter() + PATIENCE_SECONDS
        while self.answered < len(self._requests) and time.perf_counter() < until:  # noqa: ASYNC110
            await asyncio.sleep(0.05)

    def _send_due(self, now: float) -> None:
        due = min(len(self._requests), int((now - self.start) / self._step) + 1) if now >= self.start else 0
        self._waiting.extend(range(self._next, due))
        self._next = max(self._next, due)
        while self._waiting and self._free:
            link = self._free.popleft()
            if not link.is_lost:
                number = self._waiting.popleft()
                link.send(number, self._requests[number])

    def _answered(self, link: Link, number: int, accepted: int) -> None:
        due = self.start + number * self._step
        self._late.append((due, time.perf_counter() - due, accepted))
        if self._waiting:
            following = self._waiting.popleft()
            link.send(following, self._requests[following])
        else:
            self._free.append(link)

    def figures(self, warm: float) -> dict[str, Any]:
        """What became of the requests that were due after the first ``warm`` seconds."""
        since = self.start + warm
        seen = [(late, accepted) for due, late, accepted in self._late if due >= since]
        sent = sum(1 for number in range(len(self._requests)) if self.start + number * self._step >= since)
        waits = sorted(late for late, _ in seen)
        accepted = sum(accepted for _, accepted in seen)
        ended = max((due + late for due, late, _ in self._late), default=since)
        asked = sent * self._weight

        def at(share: float) -> float:
            return round(waits[min(len(waits) - 1, int(len(waits) * share))] * 1000, 1) if waits else 0.0

        return {
            "orders": accepted, "asked": asked, "errors": asked - accepted, "error_rate": (asked - accepted) / asked,
            "orders_per_second": round(accepted / max(ended - since, 1e-9)),
            "p50": at(0.5), "p95": at(0.95), "p99": at(0.99), "p999": at(0.999), "max": at(1.0),
        }  # fmt: skip


def requests_of(given: dict[str, Any], count: int) -> list[bytes]:
    """All requests of a run, signed; accounts take turns."""
    made = _makers(given)
    return [next(made) for _ in range(count)]


def _makers(given: dict[str, Any]) -> Iterator[bytes]:
    traders = [Trader(number) for number, _ in enumerate(given["keys"])]
    signers = [Signer(key, secret, given["port"]) for key, secret in given["keys"]]
    number = 0
    while True:
        for trader, signer in zip(traders, signers, strict=True):
            if given["way"] == "rest":
                yield signer.order(trader.order(), window_ms=60_000)
            elif given["way"] == "batch":
                body = json.dumps({"orders": [trader.order() for _ in range(BATCH)]}).encode()
                yield signer.batch(body, window_ms=60_000)
            else:
                params = {**trader.order(), "timestamp": int(time.time() * 1000), "recvWindow": 60_000}
                yield json.dumps({"id": number, "method": "order.place", "params": params}).encode()
            number += 1


async def links_of(given: dict[str, Any]) -> list[Link]:
    """Connected links of one way of entry, logged on where that is one's way."""
    way, port, keys = given["way"], given["port"], given["keys"]
    if way != "socket":
        return [await HttpLink.open(port, batch=way == "batch") for _ in range(CONNECTIONS[way])]
    return [await SocketLink.open(port, *keys[number % len(keys)]) for number in range(CONNECTIONS[way])]


async def main() -> None:
    given = json.load(sys.stdin)
    assert given["seconds"] + given["warm"] <= MAX_SECONDS, "the signatures would be too old"
    assert given["rate"] <= MAX_RATE, "a load test is bounded"
    weight = BATCH if given["way"] == "batch" else 1
    if given["way"] == "socket":  # a session is one account's
        given["keys"] = given["keys"][: CONNECTIONS["socket"]]
    count = int(given["rate"] * (given["seconds"] + given["warm"]) / weight)
    load = Load(requests_of(given, count), weight, given["rate"])
    for link in await links_of(given):  # last, for an exchange closes connections on which nothing is asked
        load.add(link, IN_FLIGHT[given["way"]])
    gc.freeze()
    print("ready", flush=True)
    await load.run()
    print(json.dumps(load.figures(given["warm"])), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
