"""Frugal WebSocket clients in one process: fanout_clients.py PORT PID CLIENTS SECONDS [quick|slow]; prints JSON.

Every client follows the trades of one symbol, looks at every frame and at every trade id, and so knows of each gap.
PID is the server's process, whose CPU time and memory are read while the clients listen. With a fifth argument every
twentieth client takes much more than the others, the depth of all symbols, and either reads it or never does.
"""

import asyncio
import json
import os
import resource
import socket
import sys
import time
from array import array
from pathlib import Path
from typing import Any

import uvloop
from fanout_servers import SYMBOLS

CONNECTS_AT_ONCE = 100
MAX_SECONDS = 120
SETTLE_SECONDS = 1.5
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
REQUEST = (
    "GET /ws/{stream} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
TEXT, CLOSE, PING = 0x81, 0x88, 0x89
HEAVY_EACH = 20
SMALL_BUFFER = 4096  # bytes that the kernel receives for a slow client
TRADE_ID, TIME = b'"t":', b'"T":'


class Crowd:
    """What all clients have seen."""

    def __init__(self) -> None:
        self.frames = self.gaps = self.closed = 0
        self.counting = False
        self.ages_us = array("q")


class Client(asyncio.Protocol):
    """One client; ``ready`` is done once the server has accepted it."""

    def __init__(self, crowd: Crowd, stream: str) -> None:
        self._crowd = crowd
        self._stream = stream
        self._rest = b""
        self._last_trade = 0
        self._open = False
        self.ready = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.write(REQUEST.format(stream=self._stream).encode())

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        if not self._open:
            head, found, data = data.partition(b"\r\n\r\n")
            if not found:
                self._rest = head
                return
            assert head.startswith(b"HTTP/1.1 101"), head[:80]
            self._open = True
            self.ready.set_result(None)
        self._rest = self._frames(data)

    def connection_lost(self, problem: Exception | None) -> None:
        self._crowd.closed += 1

    def _frames(self, data: bytes) -> bytes:
        at, end = 0, len(data)
        while end - at >= 4:
            size, begin = data[at + 1], at + 2
            if size == 126:
                size, begin = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
            if begin + size > end:
                break
            if data[at] == TEXT:
                self._take(data, begin, begin + size)
            elif data[at] == PING:
                self._transport.write(bytes((0x8A, 0x80 | size, 0, 0, 0, 0)) + data[begin : begin + size])
            at = begin + size
        return data[at:]

    def _take(self, data: bytes, begin: int, end: int) -> None:
        crowd = self._crowd
        at = data.index(TRADE_ID, begin, end) + len(TRADE_ID)
        trade_id = int(data[at : data.index(b",", at)])
        if self._last_trade and trade_id != self._last_trade + 1:
            crowd.gaps += 1
        self._last_trade = trade_id
        if crowd.counting:
            at = data.index(TIME, at, end) + len(TIME)
            crowd.frames += 1
            crowd.ages_us.append(time.monotonic_ns() // 1000 - int(data[at : data.index(b",", at)]))


class HeavyClient(asyncio.Protocol):
    """Takes the depth of all symbols and looks at none of it."""

    def __init__(self, *, reads: bool) -> None:
        self._reads = reads
        self.closed = False
        self.ready = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        names = [f"{s.lower()}@{kind}" for s in SYMBOLS for kind in ("trade", "depth@100ms", "depth20@100ms")]
        request = REQUEST.replace("/ws/{stream}", "/stream?streams=" + "/".join(names))
        transport.write(request.encode())

    def data_received(self, data: bytes) -> None:
        if not self.ready.done():
            self.ready.set_result(None)
            if not self._reads:
                self._transport.pause_reading()

    def connection_lost(self, problem: Exception | None) -> None:
        self.closed = True

    def wake(self) -> None:
        """Reads at last, and so learns whether it was closed."""
        self._transport.resume_reading()


async def heavies_connected(port: int, count: int, *, reads: bool) -> list[HeavyClient]:
    """All heavy clients, accepted."""
    heavies = []
    for _ in range(count):
        sock = socket.socket()
        if not reads:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, ("127.0.0.1", port))
        _, heavy = await loop.create_connection(lambda: HeavyClient(reads=reads), sock=sock)
        await asyncio.wait_for(heavy.ready, 30)
        heavies.append(heavy)
    return heavies


def cpu_seconds(pid: int) -> float:
    """CPU time of a process so far, kernel work included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def resident_kb(pid: int) -> int:
    """Memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize() // 1024


async def connected(crowd: Crowd, port: int, count: int) -> list[Client]:
    """All clients, accepted; some at a time."""
    clients: list[Client] = []
    while len(clients) < count:
        more = [
            Client(crowd, SYMBOLS[number % len(SYMBOLS)].lower() + "@trade")
            for number in range(len(clients), min(len(clients) + CONNECTS_AT_ONCE, count))
        ]
        loop = asyncio.get_running_loop()
        await asyncio.gather(*(loop.create_connection(lambda c=c: c, "127.0.0.1", port) for c in more))  # type: ignore[misc]
        await asyncio.wait_for(asyncio.gather(*(client.ready for client in more)), 30)
        clients += more
    return clients


async def measure(port: int, pid: int, count: int, *, seconds: float, heavy: str) -> dict[str, Any]:
    """Connects, listens, and returns the figures."""
    crowd = Crowd()
    empty_kb = resident_kb(pid)
    heavies = await heavies_connected(port, count // HEAVY_EACH if heavy else 0, reads=heavy == "quick")
    clients = await connected(crowd, port, count - len(heavies))  # kept, so that nobody leaves
    await asyncio.sleep(SETTLE_SECONDS)
    begun, cpu, own = time.monotonic(), cpu_seconds(pid), time.process_time()
    crowd.counting = True
    await asyncio.sleep(seconds)
    crowd.counting = False
    took, cpu, own = time.monotonic() - begun, cpu_seconds(pid) - cpu, time.process_time() - own
    ages = sorted(crowd.ages_us)
    if heavy == "slow":
        for each in heavies:
            each.wake()
        await asyncio.sleep(SETTLE_SECONDS)
    return {
        "clients": len(clients) + len(heavies),
        "deliveries_per_second": round(crowd.frames / took),
        "deliveries_per_cpu_second": round(crowd.frames / cpu),
        "server_cpu": round(cpu / took, 3),
        "client_cpu": round(own / took, 3),
        "kb_per_client": round((resident_kb(pid) - empty_kb) / count, 1),
        "p50_ms": round(ages[len(ages) // 2] / 1000, 1),
        "p99_ms": round(ages[len(ages) * 99 // 100] / 1000, 1),
        "gaps": crowd.gaps,
        "closed": crowd.closed,
        "heavies_closed": sum(heavy.closed for heavy in heavies),
    }


def main() -> None:
    """Prints the figures of one crowd."""
    port, pid, count = map(int, sys.argv[1:4])
    seconds, heavy = min(float(sys.argv[4]), MAX_SECONDS), "".join(sys.argv[5:])
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(measure(port, pid, count, seconds=seconds, heavy=heavy))))


if __name__ == "__main__":
    main()
