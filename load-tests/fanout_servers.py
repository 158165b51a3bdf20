"""Three servers of one public tape, 4 trades a second on 8 symbols: fanout_servers.py outcry|fastapi|picows CLIENTS.

A server prints its port, trades once so many clients are there, and serves until its standard input ends. The time
of a trade is the monotonic clock in microseconds, so that a client on the same machine can tell how old a frame is.
"""

import asyncio
import json
import os
import resource
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

SYMBOLS = [f"FAN{number}USD" for number in range(1, 9)]
FRAMES_PER_SECOND = 4
FIRST_TRADE = 1_000_001
GAP_SECONDS = 1 / FRAMES_PER_SECOND / len(SYMBOLS)
BACKLOG = 2048
CROWD = int(sys.argv[2]) if __name__ == "__main__" else 0


async def prints(clients: Callable[[], int]) -> AsyncIterator[tuple[int, int]]:
    """Symbol by symbol the next trade, evenly over time, once all clients are there: (place in SYMBOLS, trade id)."""
    while clients() < CROWD:  # noqa: ASYNC110 - three servers, one way to see their clients
        await asyncio.sleep(0.05)
    begin, count = time.monotonic(), 0
    while True:
        await asyncio.sleep(max(begin + count * GAP_SECONDS - time.monotonic(), 0))
        round_number, place = divmod(count, len(SYMBOLS))
        yield place, FIRST_TRADE + round_number
        count += 1


def payload(place: int, trade_id: int) -> dict[str, Any]:
    """What the contenders tell of a trade, field by field as the product does."""
    now_us = time.monotonic_ns() // 1000
    return {
        "e": "trade", "E": now_us, "s": SYMBOLS[place], "t": trade_id, "p": "100.00000000", "q": "0.00005000",
        "T": now_us, "m": False, "M": True,
    }  # fmt: skip


async def outcry(announce: Callable[[int], None]) -> None:
    """The stream role as it is served, with a ledger and a feed behind it."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "services"))
    from outcry.adapters.clock import SystemClock
    from outcry.roles.api.server import Server, bound_socket, config_of
    from outcry.roles.stream.hub import Hub
    from outcry.roles.stream.protocol import StreamProtocol
    from outcry.roles.stream.sockets import MarketSockets
    from outcry.roles.stream.userdata import UserStreams
    from outcry.wiring.process import spare_the_collector
    from tests.support.gated import gated, listed

    with tempfile.TemporaryDirectory() as folder:
        async with gated(Path(folder)) as front:
            feed = front.venue.feed
            front.venue.clock = SystemClock()
            front.venue.use([listed(number, symbol) for number, symbol in enumerate(SYMBOLS, 1)])
            hub = Hub(front.venue)
            sockets = MarketSockets(hub, front.gate, UserStreams(front.venue))
            spare_the_collector()
            listener = bound_socket("127.0.0.1", 0)
            listener.listen(BACKLOG)
            announce(listener.getsockname()[1])
            publishing = asyncio.gather(
                _publish(feed, lambda: len(sockets.clients)), hub.supervise(), feed.supervise_cuts(front.venue.clock)
            )
            await Server(config_of(sockets, StreamProtocol), sockets.goodbye).serve(sockets=[listener])
            publishing.cancel()


async def _publish(feed: Any, clients: Callable[[], int]) -> None:
    """The engine's part."""
    from outcry.ports import MarketUpdate, Publication
    from tests.support.prints import trade

    for number in range(1, len(SYMBOLS) + 1):
        nothing = {"first_seq": 1, "last_seq": 0, "first_u": 1, "last_u": 0, "time_ms": 0, "snapshot": True}
        await feed.publish(Publication(updates=(MarketUpdate(symbol_id=number, part=0, epoch=1, **nothing),)))
    async for place, trade_id in prints(clients):
        now_us = time.monotonic_ns() // 1000
        row = trade(trade_id, time_ms=now_us)._replace(symbol_id=place + 1)
        seq = trade_id - FIRST_TRADE + 1
        update = MarketUpdate(
            symbol_id=place + 1, part=0, epoch=1, first_seq=seq, last_seq=seq, first_u=seq, last_u=seq, time_ms=now_us,
            levels=((1, 100 + seq % 50, 5),), trades=(row,),
        )  # fmt: skip
        await feed.publish(Publication(updates=(update,)))


async def fastapi(announce: Callable[[int], None]) -> None:
    """What most people write: a FastAPI endpoint with a queue for each client."""
    import uvicorn
    from fastapi import FastAPI, WebSocket, WebSocketDisconnect

    app = FastAPI()
    queues: dict[str, set[asyncio.Queue[str]]] = {symbol: set() for symbol in SYMBOLS}

    @app.websocket("/ws/{stream}")
    async def serve(socket: WebSocket, stream: str) -> None:
        await socket.accept()
        queue: asyncio.Queue[str] = asyncio.Queue(maxsize=1000)
        mine = queues[stream.partition("@")[0].upper()]
        mine.add(queue)
        try:
            while True:
                await socket.send_text(await queue.get())
        except (WebSocketDisconnect, RuntimeError):
            pass
        finally:
            mine.discard(queue)

    async def publish() -> None:
        async for place, trade_id in prints(lambda: sum(map(len, queues.values()))):
            text = json.dumps(payload(place, trade_id), separators=(",", ":"))
            for queue in queues[SYMBOLS[place]]:
                queue.put_nowait(text)

    config = uvicorn.Config(
        app, host="127.0.0.1", port=0, lifespan="off", access_log=False, log_level="warning", backlog=BACKLOG,
        ws_per_message_deflate=False,
    )  # fmt: skip
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    announce(server.servers[0].sockets[0].getsockname()[1])
    publishing = asyncio.create_task(publish())
    await task
    publishing.cancel()


async def picows(announce: Callable[[int], None]) -> None:
    """picows alone: its transports, one encoded payload for all clients of a symbol."""
    from picows import WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

    clients: dict[str, set[WSTransport]] = {symbol: set() for symbol in SYMBOLS}

    class Client(WSListener):  # type: ignore[misc, unused-ignore]
        def __init__(self, mine: set[WSTransport]) -> None:
            self._mine = mine

        def on_ws_connected(self, transport: WSTransport) -> None:
            self._mine.add(transport)

        def on_ws_disconnected(self, transport: WSTransport) -> None:
            self._mine.discard(transport)

    def admit(request: WSUpgradeRequest) -> Client:
        stream = request.path.decode().rpartition("/")[2]
        return Client(clients[stream.partition("@")[0].upper()])

    server = await ws_create_server(
        admit, "127.0.0.1", 0, enable_auto_ping=True, auto_ping_idle_timeout=20, auto_ping_reply_timeout=20,
        backlog=BACKLOG,
    )  # fmt: skip
    announce(server.sockets[0].getsockname()[1])
    async for place, trade_id in prints(lambda: sum(map(len, clients.values()))):
        encoded = json.dumps(payload(place, trade_id), separators=(",", ":")).encode()
        for transport in clients[SYMBOLS[place]]:
            transport.send(WSMsgType.TEXT, encoded)


SERVERS: dict[str, Callable[[Callable[[int], None]], Coroutine[Any, Any, None]]] = {
    "outcry": outcry,
    "fastapi": fastapi,
    "picows": picows,
}


def main() -> None:
    """Serves as argv says until standard input ends."""
    import uvloop

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    def end_with_input() -> None:
        sys.stdin.read()
        os._exit(0)

    threading.Thread(target=end_with_input, daemon=True).start()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(SERVERS[sys.argv[1]](lambda port: print(port, flush=True)))


if __name__ == "__main__":
    main()
