"""The product's book and the naive one, fed the same commands and compared in all they say, show and hold."""

from collections import Counter
from typing import Any

from outcry.market.commands import (
    AnyCommand,
    PlaceList,
    PlaceOrder,
    ReplaceOrder,
    SetInstrument,
)
from outcry.market.events import (
    AnyEvent,
    HoldMoved,
    HoldReleased,
    MatchPrevented,
    OrderAccepted,
    OrderAmended,
    OrderCanceled,
    OrderExpired,
    OrderRejected,
    OrderReplaced,
    OrderTriggered,
    Traded,
)
from outcry.market.instrument import Instrument
from outcry.market.order import ALL_DONE, NO_LIST
from outcry.market.pit import Pit
from outcry.market.terms import (
    BUY,
    SELL,
)
from outcry.rows import ListRow, OrderRow
from tests.support.naive_book import Fact, NaiveBook
from tests.support.naive_entry import LOT

BASE, QUOTE = 1, 2
MAX_ORDERS, MAX_ALGO_ORDERS = 12, 6
TERMS = Instrument(
    symbol_id=1,
    symbol="AB",
    partition=0,
    base="A",
    quote="B",
    base_asset=BASE,
    quote_asset=QUOTE,
    tick_size=LOT,
    lot_size=LOT,
    max_orders=MAX_ORDERS,
    max_algo_orders=MAX_ALGO_ORDERS,
)
WHY = {
    "Market is closed.": "closed",
    "Duplicate order sent.": "duplicate",
    "Account has insufficient balance for requested action.": "balance",
    "Order would immediately match and take.": "take",
    "Order would trigger immediately.": "trigger",
    "Filter failure: MAX_NUM_ORDERS": "orders",
    "Filter failure: MAX_NUM_ALGO_ORDERS": "algo orders",
    "Unknown order sent.": "unknown",
    "Order was not canceled due to cancel restrictions.": "restricted",
    "Order cancel-replace failed.": "not attempted",
}


def fact_of(happened: AnyEvent) -> Fact | None:
    match happened:
        case OrderAccepted():
            return ("accepted", happened.order_id)
        case Traded():
            return ("traded", happened.price, happened.qty, happened.maker_id, happened.taker_id)
        case OrderCanceled():
            return ("canceled", happened.order_id, happened.left)
        case OrderExpired():
            return ("expired", happened.order_id, happened.left)
        case OrderAmended():
            return ("amended", happened.order_id, happened.qty, happened.left)
        case OrderReplaced():
            return ("replaced", happened.order_id, happened.new_id, happened.left)
        case OrderTriggered():
            return ("triggered", happened.order_id)
        case MatchPrevented():
            return (
                "prevented", happened.maker_id, happened.taker_id, happened.qty, happened.maker_prevented,
                happened.taker_prevented,
            )  # fmt: skip
        case OrderRejected():
            return ("rejected", happened.order_id, WHY.get(happened.text, "amend"))
        case _:
            return None


class TwinBooks:
    """Two markets in step. Every method sends one command to both, or compares them."""

    def __init__(self, max_triggers: int) -> None:
        self.max_triggers = max_triggers
        self.pit = Pit(max_triggers=max_triggers)
        self.pit.apply(SetInstrument(command_id=0, symbol_id=1, instrument=TERMS), 0)
        self.naive = NaiveBook(max_orders=MAX_ORDERS, max_algo_orders=MAX_ALGO_ORDERS)
        self.last_id = 0
        self.view: dict[tuple[int, int], int] = {}
        self.reserved: dict[tuple[int, int], int] = {}  # (account, asset) -> minor units
        self.trades = 0
        self.rows: dict[int, OrderRow] = {}  # of open orders, as stored
        self.list_rows: dict[int, ListRow] = {}
        self.seen: Counter[str] = Counter()

    def restart(self) -> None:
        """A new pit from stored rows must go on as if nothing had happened."""
        self._store()
        symbol = self.pit.markets[1].row(0)
        self.pit = Pit(max_triggers=self.max_triggers)
        self.pit.restore([symbol], self.open_lists())
        self.pit.restore_orders(sorted(self.rows.values(), key=lambda row: row.priority_seq))
        self.pit.restored()
        assert self.pit.markets[1].row(0) == symbol

    def open_lists(self) -> list[ListRow]:
        return [row for row in self.list_rows.values() if row.status != ALL_DONE]

    def _store(self) -> None:
        """Keeps what a ledger would: the rows of what was touched."""
        for order in self.pit.touched:
            row = order.row(0)
            assert row.open or not row.held
            if row.open:
                self.rows[row.order_id] = row
            else:
                self.rows.pop(row.order_id, None)
        self.pit.touched.clear()
        for order_list in self.pit.touched_lists.values():
            self.list_rows[order_list.list_id] = order_list.row(0)
        self.pit.touched_lists.clear()

    def order(self, *, purse: int | None = None, exact: bool = True, **terms: Any) -> PlaceOrder:
        """A new order with the next id; it brings what it needs, or ``purse`` where that is given."""
        self.last_id += 1
        if purse is None:
            price = terms.get("price") or (terms.get("stop_price") or 110) * 21 // 20
            purse = price * terms["qty"] if terms["side"] == BUY else terms["qty"] * LOT
        elif exact and terms["side"] == SELL and terms["qty"]:
            purse = terms["qty"] * LOT
        return PlaceOrder(
            command_id=0, symbol_id=1, order_id=self.last_id, client_order_id=str(self.last_id), held=purse, **terms
        )

    def owner(self, order_id: int) -> int:
        order = self.pit.find(order_id)
        return order.account if order else 1

    def send_list(self, above: PlaceOrder, below: PlaceOrder, held: int) -> None:
        above = PlaceOrder(**{name: getattr(above, name) for name in above.__struct_fields__} | {"held": held})
        below = PlaceOrder(**{name: getattr(below, name) for name in below.__struct_fields__} | {"held": 0})
        self.send(
            PlaceList(
                command_id=0, symbol_id=1, list_id=above.order_id, account=above.account, client_list_id="l",
                above=above, below=below,
            )
        )  # fmt: skip

    def send(self, command: AnyCommand) -> None:
        for placed in _orders_of(command):
            self._reserve(placed.account, placed.side, placed.held)
        before = self.pit.markets[1].update_id
        changed = False
        events = self.pit.apply(command, 1)
        while self.pit.backlog():
            if self.last_id % 2:
                changed |= self._show_changes()
                self.restart()
            events += self.pit.resume(1)
        changed |= self._show_changes()
        for happened in events:
            self._move_money(happened)
        facts = [fact for fact in map(fact_of, events) if fact is not None]
        for fact in facts:
            self.seen[str(fact[0])] += 1
        assert facts == self.naive.apply(command)
        assert (self.pit.markets[1].update_id > before) == changed

    def _show_changes(self) -> bool:
        changes = self.pit.markets[1].take_levels()
        for side, price, lots in changes:
            self.view[side, price] = lots
        return bool(changes)

    def _reserve(self, account: int, side: int, amount: int) -> None:
        asset = QUOTE if side == BUY else BASE
        self.reserved[account, asset] = self.reserved.get((account, asset), 0) + amount

    def _move_money(self, happened: AnyEvent) -> None:
        match happened:
            case Traded():
                self.trades += 1
                assert happened.trade_id == self.trades
                taker, maker = happened.taker_account, happened.maker_account
                buyer, seller = (taker, maker) if happened.taker_side == BUY else (maker, taker)
                self._reserve(buyer, BUY, -happened.amount)
                self._reserve(seller, SELL, -happened.qty * LOT)
            case HoldReleased():
                self._reserve(happened.account, BUY if happened.asset == QUOTE else SELL, -happened.amount)
            case OrderRejected():
                if happened.released:
                    self._reserve(happened.account, BUY if happened.asset == QUOTE else SELL, -happened.released)
            case HoldMoved():
                assert happened.amount > 0

    def compare(self) -> None:
        """Both books show, queue and hold the same, and money is where open orders say it is."""
        self.books_are_equal()
        self.orders_are_equal()
        self.queues_are_equal()
        self.stored_rows_are_the_orders()
        self.reserved_money_is_what_open_orders_hold()

    def books_are_equal(self) -> None:
        market = self.pit.markets[1]
        assert market.levels() == self.naive.levels()
        assert self.view_levels() == sorted(self.naive.levels())
        bids, asks = market.bids.best, market.asks.best
        assert bids is None or asks is None or bids.price < asks.price

    def orders_are_equal(self) -> None:
        orders = self.pit.markets[1].orders
        naive = {entry.id: entry for entry in self.naive.entries}
        assert orders.keys() == naive.keys()
        for order_id, order in orders.items():
            entry = naive[order_id]
            mine = (order.left, order.visible, order.executed, order.cum_quote, order.prevented, order.qty, order.held)
            assert mine == (
                entry.left, entry.shown, entry.executed, entry.spent, entry.prevented, entry.total, entry.purse
            ), f"order {order_id}"  # fmt: skip
        assert self.pit.markets[1].last_price == self.naive.last

    def stored_rows_are_the_orders(self) -> None:
        """Whatever changes is touched."""
        self._store()
        assert self.rows == {order_id: order.row(0) for order_id, order in self.pit.markets[1].orders.items()}
        listed = {row.list_id for row in self.rows.values()} - {NO_LIST}
        assert listed == {row.list_id for row in self.open_lists()}

    def queues_are_equal(self) -> None:
        market = self.pit.markets[1]
        for side, price, _ in market.levels():
            mine = [order.order_id for order in market.queue(side, price)]
            assert mine == [e.id for e in self.naive._book(side) if e.placed.price == price]

    def reserved_money_is_what_open_orders_hold(self) -> None:
        held: dict[tuple[int, int], int] = {}
        for order in self.pit.markets[1].orders.values():
            key = (order.account, QUOTE if order.side == BUY else BASE)
            held[key] = held.get(key, 0) + order.held
        assert {key: amount for key, amount in self.reserved.items() if amount} == {k: v for k, v in held.items() if v}

    def view_levels(self) -> list[tuple[int, int, int]]:
        return sorted((side, price, lots) for (side, price), lots in self.view.items() if lots)


def _orders_of(command: AnyCommand) -> tuple[PlaceOrder, ...]:
    match command:
        case PlaceOrder():
            return (command,)
        case PlaceList():
            return (command.above, command.below)
        case ReplaceOrder():
            return (command.new,)
        case _:
            return ()
