"""A client of the running exchange, on its own sockets, which follows the depth procedure of every symbol at once."""

import asyncio
import urllib.request
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from outcry.roles.engine.streams import SNAPSHOT_LEVELS, Depth, Print, Seen, Streams, TextLevel, Unfollowed

FOLLOW_SECONDS: Final = 3.0  # after the last snapshot
PATIENCE_SECONDS: Final = 10.0  # for one answer
SUBSCRIBED: Final = 1  # id of the only request
DIRECTLY: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # it listens on this machine


class _Snapshot(msgspec.Struct, frozen=True):
    last_u: int = msgspec.field(name="lastUpdateId")
    bids: list[TextLevel]
    asks: list[TextLevel]


class _Diff(msgspec.Struct, frozen=True):
    first_u: int = msgspec.field(name="U")
    last_u: int = msgspec.field(name="u")
    bids: list[TextLevel] = msgspec.field(name="b")
    asks: list[TextLevel] = msgspec.field(name="a")


class _Trade(msgspec.Struct, frozen=True):
    trade_id: int = msgspec.field(name="t")
    price: str = msgspec.field(name="p")
    qty: str = msgspec.field(name="q")


class _Message(msgspec.Struct, frozen=True):
    stream: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")
    id: int = 0
    error: msgspec.Raw = msgspec.Raw(b"")


def streams_at(url: str, seconds: float = FOLLOW_SECONDS, *, stream_url: str = "") -> Streams:
    """The streams of the exchange that listens at ``http://host:port``; ``stream_url`` where they are elsewhere."""
    socket_url = (stream_url or "ws" + url.removeprefix("http")) + "/stream"
    return partial(_follow, url, socket_url, seconds)


async def _follow(url: str, socket_url: str, seconds: float, symbols: Sequence[str]) -> Mapping[str, Seen]:
    try:
        async with connect(
            socket_url, max_size=None, compression=None, open_timeout=PATIENCE_SECONDS, proxy=None
        ) as socket:
            return await Client(socket, symbols).follow(url, seconds)
    except (OSError, TimeoutError, WebSocketException, msgspec.DecodeError) as trouble:
        places = f"{socket_url}, with books from {url}"
        raise Unfollowed(f"{places}, could not be followed: {type(trouble).__name__}: {trouble}") from trouble


class Client:
    """Buffers the diffs first, and takes the snapshots then."""

    def __init__(self, socket: ClientConnection, symbols: Sequence[str]) -> None:
        self._socket = socket
        self._diffs: dict[str, list[Depth]] = {symbol: [] for symbol in symbols}
        self._prints: dict[str, list[Print]] = {symbol: [] for symbol in symbols}
        self._subscribed = asyncio.Event()

    async def follow(self, url: str, seconds: float) -> Mapping[str, Seen]:
        """Listens until ``seconds`` after the last snapshot."""
        names = [f"{symbol.lower()}@{kind}" for symbol in self._diffs for kind in ("depth@100ms", "trade")]
        request = {"method": "SUBSCRIBE", "params": names, "id": SUBSCRIBED}
        await self._socket.send(msgspec.json.encode(request).decode())
        listening = asyncio.create_task(self._listen())
        try:
            await asyncio.wait_for(self._subscribed.wait(), PATIENCE_SECONDS)
            snapshots = {symbol: await asyncio.to_thread(_snapshot, url, symbol) for symbol in self._diffs}
            await asyncio.wait([listening], timeout=seconds)
            if listening.done():
                listening.result()
        finally:
            listening.cancel()
        return {name: Seen(snapshot, self._diffs[name], self._prints[name]) for name, snapshot in snapshots.items()}

    async def _listen(self) -> None:
        while True:
            message = msgspec.json.decode(await self._socket.recv(), type=_Message)
            symbol, _, kind = message.stream.partition("@")
            if kind == "trade":
                trade = msgspec.json.decode(message.data, type=_Trade)
                self._prints[symbol.upper()].append(Print(trade.trade_id, trade.price, trade.qty))
            elif kind:
                diff = msgspec.json.decode(message.data, type=_Diff)
                self._diffs[symbol.upper()].append(Depth(diff.first_u, diff.last_u, diff.bids, diff.asks))
            elif message.id == SUBSCRIBED and not message.error:
                self._subscribed.set()


def _snapshot(url: str, symbol: str) -> Depth:
    address = f"{url}/api/v3/depth?symbol={symbol}&limit={SNAPSHOT_LEVELS}"
    with DIRECTLY.open(address, timeout=PATIENCE_SECONDS) as answer:
        book = msgspec.json.decode(answer.read(), type=_Snapshot)
    return Depth(0, book.last_u, book.bids, book.asks)
