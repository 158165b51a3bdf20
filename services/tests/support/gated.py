"""The api's front alone: a real ledger, a gate and the app on a small table of endpoints, with nothing behind it."""

import asyncio
import contextlib
import hashlib
import hmac
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from outcry.adapters.memory import MemoryFeed, MemoryShared
from outcry.adapters.sqlite import Store
from outcry.market.instrument import Instrument
from outcry.ports import OutcomeUnknown, OutOfService
from outcry.roles.api.app import build_app
from outcry.roles.api.endpoint import KEY_ONLY, READ, TRADE, Call, Endpoint, Param
from outcry.roles.api.errors import Refusal
from outcry.roles.api.gate import Gate
from outcry.roles.api.vault import Vault
from outcry.roles.api.venue import Venue
from outcry.roles.api.wire import Asgi
from outcry.rows import AccountRow, KeyRow
from outcry.settings import Settings

KEY, SECRET = "test-key-1", "test-secret-1"
READER, READER_SECRET = "reader-key", "reader-secret"
PRIVATE = Ed25519PrivateKey.from_private_bytes(b"e" * 32)
ACCOUNT = 1001
NOON_US = 1_767_268_800_000_000  # on 1 January 2026


class SetClock:
    """A clock that stands where a test puts it; at first at a noon, so no window, heartbeat or day ends by chance."""

    def __init__(self) -> None:
        self.us = NOON_US

    def now_us(self) -> int:
        return self.us

    def now_ms(self) -> int:
        return self.us // 1000


def listed(symbol_id: int, symbol: str) -> Instrument:
    return Instrument(
        symbol_id=symbol_id, symbol=symbol, partition=0, base=symbol[:3], quote="USD", base_asset=2, quote_asset=1,
        tick_size=1_000_000, lot_size=1_000,
    )  # fmt: skip


async def say_params(call: Call) -> Any:
    """Answers with what it was asked, so that a test sees what an endpoint would see."""
    shown = {n: v.symbol if isinstance(v, Instrument) else v for n, v in call.params.items()}
    return {"params": shown, "account": call.account.account_id if call.account else None}


async def fall(call: Call) -> Any:
    trouble = {"bug": RuntimeError, "ledger": OutOfService, "unknown": OutcomeUnknown}
    raise trouble[call.params["kind"]]("as the test wished")


async def refuse(call: Call) -> Any:
    raise Refusal(-2021, "Order cancel-replace partially failed.", 409, data={"cancelResult": "SUCCESS"})


async def say_key(call: Call) -> Any:
    call.headers["Idempotent-Replayed"] = "true\r\nX-Evil: 1"
    return {"key": call.idempotency_key, "until": call.valid_until_us, "time": 1_700_000_000_000}


ORDER_PARAMS = (
    Param(name="symbol", kind="symbol", required=True),
    Param(name="side", kind="enum", values=("BUY", "SELL"), required=True),
    Param(name="quantity", kind="decimal"),
    Param(name="newClientOrderId", kind="client_id"),
)
TABLE = (
    Endpoint(method="GET", path="/api/v3/ping", answer=say_params, ws="ping", example={}, summary="Are you there?"),
    Endpoint(
        method="GET", path="/api/v3/depth", answer=say_params, weight=lambda p: 250 if p["limit"] > 1000 else 5,
        params=(Param(name="symbol", kind="symbol", required=True), Param(name="limit", kind="int", default=100)),
    ),
    Endpoint(
        method="POST", path="/api/v3/order", answer=say_params, security=TRADE, orders=1, params=ORDER_PARAMS,
        ws="order.place", tag="trading",
    ),
    Endpoint(method="DELETE", path="/api/v3/order", answer=say_params, security=TRADE, params=ORDER_PARAMS[:1]),
    Endpoint(method="GET", path="/api/v3/account", answer=say_params, security=READ, weight=20, ws="account.status"),
    Endpoint(method="POST", path="/api/v3/userDataStream", answer=say_params, security=KEY_ONLY, ws="streams.start"),
    Endpoint(method="POST", path="/api/v3/keyed", answer=say_key, security=TRADE),
    Endpoint(method="POST", path="/api/v3/order/cancelReplace", answer=refuse),
    Endpoint(
        method="GET", path="/api/v3/fall", answer=fall,
        params=(Param(name="kind", kind="enum", values=("bug", "ledger", "unknown"), required=True),),
    ),
    Endpoint(method="GET", path="/v1/trades", answer=say_params, params=(Param(name="limit", kind="int", high=100),)),
    Endpoint(
        method="POST", path="/v1/orders:batch", answer=say_params, security=TRADE, orders=1,
        params=(Param(name="orders", kind="json", required=True),),
    ),
)  # fmt: skip


@dataclass
class Gated:
    """The running front, and a client of it."""

    store: Store
    venue: Venue
    gate: Gate
    app: Asgi
    clock: SetClock
    http: httpx.AsyncClient
    table: dict[str, Endpoint] = field(default_factory=lambda: {e.ws: e for e in TABLE if e.ws})

    def signed(self, text: str = "", body: bytes = b"", secret: str = SECRET) -> str:
        """The query with timestamp and HMAC signature over it and the body."""
        query = "&".join(part for part in (text, f"timestamp={self.clock.now_ms()}") if part)
        digest = hmac.new(secret.encode(), query.encode() + body, hashlib.sha256).hexdigest()
        return f"{query}&signature={digest}"

    async def ask(self, method: str, path: str, query: str = "", **more: Any) -> httpx.Response:
        """One request with the test's API key."""
        headers = {"X-MBX-APIKEY": KEY} | more.pop("headers", {})
        return await self.http.request(method, f"{path}?{query}" if query else path, headers=headers, **more)

    async def order(self, text: str = "symbol=BTCUSD&side=BUY", **more: Any) -> httpx.Response:
        """A signed order."""
        return await self.ask("POST", "/api/v3/order", self.signed(text), **more)


@contextlib.asynccontextmanager
async def gated(folder: Path, *, limits: str = "off") -> AsyncIterator[Gated]:
    """The front for the length of a ``with`` block: account 1001 with an HMAC, a read-only and an Ed25519 key."""
    clock, vault = SetClock(), Vault(b"m" * 32)
    store = Store(folder / "outcry.db", clock=clock)
    await asyncio.to_thread(store.open)
    try:
        await _found(store, vault)
        venue = Venue(
            settings=Settings(data_dir=str(folder), limits=limits), ledger=store.ledger, feed=MemoryFeed(),
            shared=MemoryShared(), clock=clock,
        )  # fmt: skip
        venue.use([listed(1, "BTCUSD"), listed(2, "ETHUSD")])
        gate = Gate(venue, vault)
        app = build_app(venue, gate, TABLE, {})
        transport = httpx.ASGITransport(app=cast(Any, app), raise_app_exceptions=True)
        async with httpx.AsyncClient(transport=transport, base_url="http://exchange") as http:
            yield Gated(store, venue, gate, app, clock, http)
    finally:
        await asyncio.to_thread(store.close)


async def _found(store: Store, vault: Vault) -> None:
    public = PRIVATE.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    await store.ledger.create_account(AccountRow(ACCOUNT, "test", 1000, 1000, 0, 1), "test")
    for key, kind, secret, scopes in (
        (KEY, "HMAC", vault.seal(SECRET.encode(), KEY), "read,trade"),
        (READER, "HMAC", vault.seal(READER_SECRET.encode(), READER), "read"),
        ("curve-key-1", "ED25519", public, "read,trade"),
    ):
        await store.ledger.create_key(KeyRow(key, ACCOUNT, kind, secret, scopes, "", 1, 0, 0), "test")
