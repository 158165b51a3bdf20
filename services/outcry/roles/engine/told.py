"""What clients were told under their Idempotency-Keys, beside what the ledger says of the same orders."""

from collections.abc import Iterator, Sequence
from typing import Any, Final, Protocol

import msgspec

from outcry.decimals import minor_units
from outcry.market.instrument import Instrument
from outcry.market.terms import NEW, PARTIALLY_FILLED, PENDING_NEW, REJECTED, SIDE_NAMES, STATUS_NAMES
from outcry.roles.engine.fates import FateLedger
from outcry.rows import KEY_KEPT_MS, KeptKey, OrderRow, SymbolRow, TradeRow

PAGE: Final = 1_000  # keys, or trades, looked at together
MAX_PROBLEMS: Final = 100  # reported
PASSING: Final = frozenset(STATUS_NAMES[status] for status in (PENDING_NEW, NEW, PARTIALLY_FILLED))  # not a last one
DONE: Final = 200
MAX_ID: Final = 1 << 63

Report = dict[str, Any]  # one order in an answer
Place = tuple[int, int]  # symbol id, trade id


class Answer(msgspec.Struct, frozen=True):
    """A kept answer: HTTP status and body."""

    status: int
    body: dict[str, Any]


class ToldLedger(FateLedger, Protocol):
    """What is read of keys and of the orders under them."""

    async def kept_keys(self, after: tuple[int, str], limit: int) -> list[KeptKey]: ...
    async def symbols(self) -> list[SymbolRow]: ...
    async def named_trades(self, places: Sequence[tuple[int, int, int]]) -> list[TradeRow]:
        """Trades by symbol, id and time of log."""


class Told:
    """One effect per key. Orders that were closed before ``since_ms`` of log time may have been thrown away."""

    def __init__(self, ledger: ToldLedger, since_ms: int) -> None:
        self.problems: list[str] = []
        self.keys = 0
        self.answers = 0
        self._ledger = ledger
        self._since_ms = since_ms
        self._trades: dict[Place, TradeRow] = {}  # those that the answers of a page name
        self._owners: dict[int, tuple[int, str]] = {}  # order id -> the key that placed it

    async def check(self) -> None:
        """Looks at every key that is kept."""
        rows = await self._ledger.symbols()
        self._instruments = {row.symbol_id: msgspec.msgpack.decode(row.instrument, type=Instrument) for row in rows}
        after = (0, "")
        while page := await self._ledger.kept_keys(after, PAGE):
            await self._check_page(page)
            after = page[-1].account_id, page[-1].key

    async def _check_page(self, page: Sequence[KeptKey]) -> None:
        read = [(key, self._read(key)) for key in page]
        ids = sorted({order_id for key, answer in read for order_id in _ids(key, answer)})
        # What waits is looked at first: whatever is settled in between is found among the orders.
        waiting = {row.order_id: row.account_id for row in await self._ledger.pending(ids)}
        orders = {row.order_id: row for row in await self._ledger.orders_by_id(ids)}
        self._trades = await self._told_trades([answer for _, answer in read if answer is not None], orders)
        for key, answer in read:
            self.keys += 1
            for order_id in _ids(key, answer):
                self._own(key, order_id)
                row = orders.get(order_id)
                self._check_order(key, order_id, row.account_id if row else waiting.get(order_id))
            if answer is not None:
                self.answers += 1
                self._check_answer(key, answer, orders)

    def _read(self, key: KeptKey) -> Answer | None:
        if key.response is None:
            return None
        try:
            return msgspec.json.decode(key.response, type=Answer)
        except (msgspec.DecodeError, UnicodeDecodeError) as trouble:
            self._problem(key, f"the answer cannot be read: {trouble}")
            return None

    def _own(self, key: KeptKey, order_id: int) -> None:
        own = (key.account_id, key.key)
        other = self._owners.setdefault(order_id, own)
        if other != own:
            self._problem(key, f"order {order_id} was placed under key {other[1]!r} of account {other[0]} too")

    def _check_order(self, key: KeptKey, order_id: int, account_id: int | None) -> None:
        if account_id is None:
            if key.expires_ms - KEY_KEPT_MS >= self._since_ms:
                self._problem(key, f"order {order_id} does not exist")
        elif account_id != key.account_id:
            self._problem(key, f"order {order_id} belongs to account {account_id}")

    def _check_answer(self, key: KeptKey, answer: Answer, orders: dict[int, OrderRow]) -> None:
        reports = _reports(answer)
        told = {report["orderId"] for report in reports}
        for order_id in key.order_ids:
            row = orders.get(order_id)
            if row is not None and (order_id in told) == (row.status == REJECTED):
                words = "placed" if order_id in told else "not placed"
                self._problem(
                    key, f"order {order_id} is {STATUS_NAMES[row.status]}, the client was told it was {words}"
                )
        for report in reports:
            row = orders.get(report["orderId"])
            if row is not None:
                for problem in _differences(report, row, self._instruments[row.symbol_id]):
                    self._problem(key, f"order {row.order_id}: {problem}")
                self._check_fills(key, report, row)

    async def _told_trades(self, answers: Sequence[Answer], orders: dict[int, OrderRow]) -> dict[Place, TradeRow]:
        """The trades that are named in answers, if they are there. What a record brings about has its time."""
        places: dict[Place, int] = {}
        for report in (report for answer in answers for report in _reports(answer)):
            row = orders.get(report["orderId"])
            if row is not None:
                places |= {(row.symbol_id, trade_id): row.placed_ms for trade_id in _trade_ids(report)}
        wanted = [(*place, time_ms) for place, time_ms in places.items()]
        found: dict[Place, TradeRow] = {}
        for start in range(0, len(wanted), PAGE):
            trades = await self._ledger.named_trades(wanted[start : start + PAGE])
            found |= {(trade.symbol_id, trade.trade_id): trade for trade in trades}
        return found

    def _check_fills(self, key: KeptKey, report: Report, row: OrderRow) -> None:
        """The trades that were told are the order's own, at its own record."""
        told = report.get("fills")
        if not told or row.updated_ms < self._since_ms:
            return
        instrument = self._instruments[row.symbol_id]
        own = (row.order_id, row.applied_offset)
        for fill in told:
            trade = self._trades.get((row.symbol_id, fill.get("tradeId")))
            size = (_minor(fill.get("price")), _minor(fill.get("qty")))
            if (
                trade is None
                or (trade.taker_order, trade.log_offset) != own
                or (trade.price * instrument.tick_size, trade.qty * instrument.lot_size) != size
            ):
                self._problem(key, f"order {row.order_id}: the client was told of a trade that is not its own: {fill}")

    def _problem(self, key: KeptKey, text: str) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(f"key {key.key!r} of account {key.account_id}: {text}")


def _reports(answer: Answer) -> list[Report]:
    """The orders in an answer: one, or those of a batch."""
    if answer.status != DONE:
        return []
    results = answer.body.get("results", [answer.body])
    return [each for each in results if isinstance(each, dict) and isinstance(each.get("orderId"), int)]


def _trade_ids(report: Report) -> list[int]:
    """The ids of the trades that it tells of; what is none cannot be found, and is a problem later."""
    fills = (fill.get("tradeId") for fill in report.get("fills") or ())
    return [trade_id for trade_id in fills if isinstance(trade_id, int) and 0 < trade_id < MAX_ID]


def _ids(key: KeptKey, answer: Answer | None) -> list[int]:
    told = [] if answer is None else [report["orderId"] for report in _reports(answer)]
    return list(dict.fromkeys([*key.order_ids, *told]))


def _differences(report: Report, row: OrderRow, instrument: Instrument) -> Iterator[str]:
    """What the client was told that cannot have been so: an order may fill further, and end, but never go back."""
    if report.get("symbol") != instrument.symbol:
        yield f"its symbol is {instrument.symbol}, the client was told {report.get('symbol')}"
    if report.get("side", SIDE_NAMES[row.side]) != SIDE_NAMES[row.side]:
        yield f"its side is {SIDE_NAMES[row.side]}, the client was told {report['side']}"
    status = STATUS_NAMES[row.status]
    if report.get("status", status) not in (status, *PASSING):
        yield f"its status is {status}, the client was told {report['status']}"
    for name, has in (("executedQty", row.executed * instrument.lot_size), ("cummulativeQuoteQty", row.cum_quote)):
        told = _minor(report.get(name, "0"))
        if told is None or told > has:
            yield f"its {name} is {has} minor units, the client was told {report[name]}"


def _minor(text: object) -> int | None:
    try:
        return minor_units(str(text))
    except ValueError:
        return None
