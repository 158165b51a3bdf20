"""The read endpoints on a real ledger and feed, with a history that the test writes."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

import httpx

from outcry.market.candles import Candles
from outcry.market.terms import BUY
from outcry.ports import MarketUpdate, Publication
from outcry.roles.api import account, marketdata, native, sapi
from outcry.roles.api.app import build_app
from outcry.rows import Advance, AmendmentRow, CandleRow, ListRow, OrderRow, PartBatch, PreventedRow, TradeRow
from tests.support.gated import ACCOUNT, Gated, gated

ENDPOINTS = (*marketdata.ENDPOINTS, *account.ENDPOINTS, *sapi.ENDPOINTS, *native.ENDPOINTS)
FEE_PPM = 1_000
STRANGER = 7


@dataclass
class Reads:
    """The running reads. ``print`` is what an engine's batch adds to the history of a symbol."""

    front: Gated
    http: httpx.AsyncClient
    epoch: int = 0
    offset: int = 0
    candles: Candles = field(default_factory=Candles)
    numbers: dict[int, int] = field(default_factory=dict)  # last trade id by symbol

    @property
    def now_ms(self) -> int:
        return self.front.clock.now_ms()

    async def get(self, path: str, **params: Any) -> Any:
        """The body of an answer that is 200."""
        answer = await self.http.get(path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def signed(self, path: str, **params: Any) -> Any:
        """The same of a signed request."""
        answer = await self.ask(path, **params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def ask(self, path: str, **params: Any) -> httpx.Response:
        """A signed request of account 1001."""
        return await self.front.ask("GET", path, self.front.signed(urlencode(params)))

    async def refused(self, path: str, **params: Any) -> tuple[int, str]:
        """Code and text of an unsigned request that is 400."""
        return _refusal(await self.http.get(path, params=params))

    async def refused_signed(self, path: str, **params: Any) -> tuple[int, str]:
        return _refusal(await self.ask(path, **params))

    async def print(self, time_ms: int, price: int, qty: int = 1, **more: Any) -> TradeRow:
        """One trade at a time; ``more`` are columns that differ from account 1001 buying from a stranger."""
        trade = self.trade(time_ms, price, qty, **more)
        self.candles.trade(time_ms, trade)
        await self.commit(trades=[trade], candles=self.candles.take())
        self.front.venue.last_prices[trade.symbol_id] = price
        return trade

    def trade(self, time_ms: int, price: int, qty: int, **more: Any) -> TradeRow:
        """The next trade of a symbol, of a lot that is worth price x 10 minor units."""
        symbol_id = more.get("symbol_id", 1)
        number = self.numbers[symbol_id] = self.numbers.get(symbol_id, 0) + 1
        fields = {
            "symbol_id": symbol_id, "trade_id": number, "agg_id": number, "part": 0, "log_offset": self.offset,
            "idx": 0, "time_ms": time_ms, "price": price, "qty": qty, "amount": price * qty * 10, "taker_side": BUY,
            "maker_order": 1, "taker_order": 2, "maker_account": STRANGER, "taker_account": ACCOUNT, "maker_fee": 0,
            "taker_fee": 0,
        }  # fmt: skip
        return TradeRow(**{**fields, **more})

    async def commit(self, **rows: Any) -> None:
        """One engine batch of orders, trades, lists, prevented matches, candles and amendments."""
        advance = Advance(0, self.epoch, self.offset, self.offset + 1, self.now_ms, 1, 0, 0, b"", b"")
        self.offset += 1
        orders: list[OrderRow] = rows.get("orders", [])
        trades: list[TradeRow] = rows.get("trades", [])
        prevented: list[PreventedRow] = rows.get("prevented", [])
        lists: list[ListRow] = rows.get("lists", [])
        candles: list[CandleRow] = rows.get("candles", [])
        amendments: list[AmendmentRow] = rows.get("amendments", [])
        batch = PartBatch(advance, orders, [], trades, [], prevented, lists, [], candles, [], [], [], [], amendments)
        assert await self.front.store.ledger.commit([batch]) == {0}

    async def show(self, *levels: tuple[int, int, int], symbol_id: int = 1, update_id: int = 5) -> None:
        """Publishes a whole book of (side, price, lots)."""
        update = MarketUpdate(
            symbol_id=symbol_id, part=0, epoch=1, first_seq=1, last_seq=1, first_u=update_id, last_u=update_id,
            time_ms=self.now_ms, levels=levels, snapshot=True,
        )  # fmt: skip
        await self.front.venue.feed.publish(Publication(updates=(update,)))


def _refusal(answer: httpx.Response) -> tuple[int, str]:
    assert answer.status_code == 400, answer.text
    body = answer.json()
    return body["code"], body.get("msg", body.get("detail"))


@contextlib.asynccontextmanager
async def reading(folder: Path, *, limits: str = "off") -> AsyncIterator[Reads]:
    """The reads for the length of a ``with`` block: BTCUSD and ETHUSD listed, nothing traded yet.

    The clock stands at half past a minute, an hour and a day boundary away from trouble.
    """
    async with gated(folder, limits=limits) as front:
        day_ms = front.clock.now_ms() // 86_400_000 * 86_400_000
        front.clock.us = (day_ms + 12 * 3_600_000 + 20 * 60_000 + 30_000) * 1000
        ledger = front.store.ledger
        for asset in ("USD", "BTC", "ETH"):
            row = await ledger.add_asset(asset, "test")
            front.venue.assets[row.asset_id] = row.asset
        await ledger.transfer(ACCOUNT, 1, 5_000_000_000, "first", actor="test")
        lease = await front.store.lease.takeover(0, "test")
        assert lease is not None
        app = build_app(front.venue, front.gate, ENDPOINTS, {})
        transport = httpx.ASGITransport(app=cast(Any, app), raise_app_exceptions=True)
        async with httpx.AsyncClient(transport=transport, base_url="http://exchange") as http:
            front.http = http
            yield Reads(front, http, lease.epoch, lease.next_offset)
