"""The stream role alone on real sockets: a ledger and a feed behind it, and the test as its engine."""

import asyncio
import contextlib
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from outcry.ports import Execution, MarketUpdate, Publication
from outcry.roles.api.endpoint import Endpoint
from outcry.roles.api.signing import ws_payloads
from outcry.roles.stream import listenkeys
from outcry.roles.stream.hub import Hub
from outcry.roles.stream.nativesockets import NativeSockets
from outcry.roles.stream.sockets import MarketSockets
from outcry.roles.stream.userdata import UserStreams
from outcry.roles.stream.wsapi import WsApi
from outcry.rows import TradeRow
from tests.support.gated import ACCOUNT, KEY, SECRET, TABLE, Gated, gated
from tests.support.inprocess import PATIENCE_SECONDS, until
from tests.support.prints import BTCUSD
from tests.support.served import served

Level = tuple[int, int, int]


@dataclass
class Stage:
    """The running role. ``happen`` is what an engine's batch does to BTCUSD."""

    front: Gated
    hub: Hub
    users: UserStreams
    sockets: MarketSockets
    api: WsApi
    native: NativeSockets
    address: str = ""
    seq: int = 0
    u: int = 0
    opened: list[ClientConnection] = field(default_factory=list)

    async def happen(self, *levels: Level, trades: tuple[TradeRow, ...] = (), **change: Any) -> None:
        """Publishes the next update; each level is an update id of its own. Trades without a time happen now."""
        first_u = self.u + 1
        self.u += len(levels)
        self.seq += 1
        now_ms = self.front.clock.now_ms()
        fields = {
            "symbol_id": BTCUSD.symbol_id, "part": 0, "epoch": 1, "first_seq": self.seq, "last_seq": self.seq,
            "first_u": first_u, "last_u": self.u, "time_ms": now_ms, "levels": levels,
            "trades": tuple(trade._replace(time_ms=trade.time_ms or now_ms) for trade in trades),
        }  # fmt: skip
        await self.front.venue.feed.publish(Publication(updates=(MarketUpdate(**{**fields, **change}),)))

    async def privately(self, *executions: Execution, moved: tuple[int, ...] = ()) -> None:
        """Publishes private events."""
        await self.front.venue.feed.publish(Publication(executions=executions, moved=moved))

    def beat(self, ms: int = 100) -> int:
        """Lets time pass, and the hub end the windows that end meanwhile; returns the time."""
        until = self.front.clock.now_ms() + ms
        now = (self.front.clock.now_ms() // 100 + 1) * 100
        while now <= until:
            self.front.clock.us = now * 1000
            self.front.venue.feed.tick(now)  # type: ignore[attr-defined]  # the embedded feed's
            self.hub.beat(now)
            now += 100
        return self.front.clock.now_ms()

    async def client(self, path: str) -> ClientConnection:
        """A connected client that the role knows of, closed with the stage."""
        known = self._clients()
        client = await connect(f"ws://{self.address}{path}", max_size=None, max_queue=None)
        self.opened.append(client)
        await until(lambda: bool(self._clients() - known))
        return client

    def _clients(self) -> set[Any]:
        return {*self.sockets.clients, *self.api.clients, *self.native.clients}

    async def settled(self) -> None:
        """Waits until the hub has read all that it wants to know of BTCUSD."""
        await until(lambda: all(isinstance(key, tuple) and key[1] != BTCUSD.symbol_id for key in self.hub._reads))

    def signed(self, secret: str = SECRET, **params: Any) -> dict[str, Any]:
        """WebSocket API parameters with key, timestamp and signature."""
        sent = {"apiKey": KEY, "timestamp": self.front.clock.now_ms(), **params}
        return sent | {"signature": hmac.new(secret.encode(), ws_payloads(sent)[0], hashlib.sha256).hexdigest()}


async def heard(client: ClientConnection) -> Any:
    """The client's next message."""
    return json.loads(await asyncio.wait_for(client.recv(), PATIENCE_SECONDS))


async def silent(client: ClientConnection, seconds: float = 0.15) -> bool:
    """Whether the client hears nothing for a while."""
    try:
        await asyncio.wait_for(client.recv(), seconds)
    except TimeoutError:
        return True
    return False


async def asked(client: ClientConnection, method: str, *params: Any, request_id: Any = 1) -> Any:
    """Sends a control message and returns its answer, the client's next message."""
    await client.send(json.dumps({"method": method, "params": list(params), "id": request_id}))
    return await heard(client)


async def called(client: ClientConnection, method: str, params: Any = None, request_id: Any = 1) -> Any:
    """Sends a WebSocket API request and returns the client's next message."""
    await client.send(json.dumps({"id": request_id, "method": method, "params": params or {}}))
    return await heard(client)


@contextlib.asynccontextmanager
async def staged(folder: Path, *, endpoints: tuple[Endpoint, ...] = (), limits: str = "off") -> AsyncIterator[Stage]:
    """The role for the length of a ``with`` block, with BTCUSD and ETHUSD listed and an open, empty book."""
    async with gated(folder, limits=limits) as front:
        for asset in ("USD", "BTC"):
            row = await front.store.ledger.add_asset(asset, "test")
            front.venue.assets[row.asset_id] = row.asset
            await front.store.ledger.transfer(ACCOUNT, row.asset_id, 10**12, f"first {asset}", actor="test")
        hub, users = Hub(front.venue), UserStreams(front.venue)
        hub.start()
        sockets = MarketSockets(hub, front.gate, users)
        api = WsApi(front.gate, [*TABLE, *listenkeys.ENDPOINTS, *endpoints], users)
        stage = Stage(front, hub, users, sockets, api, NativeSockets(hub, front.gate))
        async with served(_both(stage)) as stage.address:
            await stage.happen(snapshot=True)
            yield stage
            for client in stage.opened:
                await client.close()
        hub.close()


def _both(stage: Stage) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        apps = {"ws-api": stage.api, "v1": stage.native}
        chosen = apps.get(scope["path"].split("/")[1], stage.sockets)
        await chosen(scope, receive, send)

    return app
