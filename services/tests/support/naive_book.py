"""The market as simply as it can be said: one list of orders, sorted and scanned at every step. The oracle of the core.

It shares nothing with the core but the commands. Facts are tuples that start with a word: ``("traded", price, qty,
maker, taker)``. Prices are ticks, sizes lots; a lot costs its price, and a lot to sell is held as ``LOT`` units.
"""

from collections.abc import Callable
from typing import Any

from outcry.market.commands import (
    AmendOrder,
    AnyCommand,
    CancelAll,
    CancelOrder,
    HaltMarket,
    OpenMarket,
    PlaceList,
    PlaceOrder,
    ReplaceOrder,
)
from outcry.market.terms import (
    BUY,
    FOK,
    GTC,
    LIMIT_MAKER,
    STOP_ON_FAILURE,
    STOP_TYPES,
    STP_DECREMENT,
    STP_EXPIRE_BOTH,
    STP_EXPIRE_MAKER,
    STP_EXPIRE_TAKER,
)
from tests.support.naive_entry import LOT, Entry

Fact = tuple[Any, ...]


class NaiveBook:
    """Applies commands; ``facts`` are those of the last one."""

    def __init__(self, *, max_orders: int, max_algo_orders: int) -> None:
        self.limits = (max_orders, max_algo_orders)
        self.entries: list[Entry] = []  # open ones, in the order of arrival
        self.halted = False
        self.last = 0
        self.facts: list[Fact] = []
        self._clock = 0
        self._prints: list[int] = []
        self._due: list[Entry] = []

    def apply(self, command: AnyCommand) -> list[Fact]:
        self.facts = []
        name = type(command).__name__
        act: Callable[[Any], None] = getattr(self, f"_{name.lower()}")
        act(command)
        self._run_stops()
        return self.facts

    def levels(self) -> list[tuple[int, int, int]]:
        found = []
        for side in (BUY, -BUY):
            prices = sorted({e.placed.price for e in self._book(side)}, reverse=side == BUY)
            found += [(side, p, sum(e.shown for e in self._book(side) if e.placed.price == p)) for p in prices]
        return found

    def _book(self, side: int) -> list[Entry]:
        resting = [e for e in self.entries if e.stage == "book" and e.side == side]
        return sorted(resting, key=lambda e: (-e.placed.price * side, e.place))

    def _find(self, order_id: int, account: int | None = None) -> Entry | None:
        for entry in self.entries:
            if entry.id == order_id and account in (None, entry.account):
                return entry
        return None

    def _tick(self) -> int:
        self._clock += 1
        return self._clock

    # Commands, by their names.

    def _placeorder(self, command: PlaceOrder) -> None:
        self._place(Entry(command, command.held))

    def _place(self, entry: Entry) -> None:
        why = self._refusal(entry) or ("balance" if entry.purse < entry.need() else None)
        if why:
            self.facts.append(("rejected", entry.id, why))
            return
        self._accept(entry)
        self._start(entry)

    def _placelist(self, command: PlaceList) -> None:
        above, below = Entry(command.above, command.above.held), Entry(command.below, command.below.held)
        why = self._refusal(above) or self._refusal(below) or self._refusal_of_both(above, below)
        if not why and above.purse < max(above.need(), below.need()):
            why = "balance"
        if why:
            self.facts += [("rejected", above.id, why), ("rejected", below.id, why)]
            return
        above.partner, below.partner = below, above
        self._accept(above)
        self._accept(below)
        above.purse = max(above.need(), below.need())
        for entry in sorted((above, below), key=lambda e: e.placed.type not in STOP_TYPES):
            if entry.stage == "new":
                self._start(entry)

    def _cancelorder(self, command: CancelOrder) -> None:
        entry = self._find(command.order_id, command.account)
        if entry is None:
            self.facts.append(("rejected", command.order_id, "unknown"))
        elif command.restriction and (command.restriction == 1) != (not entry.executed):
            self.facts.append(("rejected", command.order_id, "restricted"))
        else:
            self._end(entry, "canceled")

    def _cancelall(self, command: CancelAll) -> None:
        found = False
        for order_id, _ in command.targets:
            entry = self._find(order_id, command.account)
            if entry is not None:
                found = True
                self._end(entry, "canceled")
        if not found:
            self.facts.append(("rejected", 0, "unknown"))

    def _replaceorder(self, command: ReplaceOrder) -> None:
        old = self._find(command.order_id, command.account)
        new = Entry(command.new, command.new.held)
        restricted = old is not None and command.restriction and (command.restriction == 1) != (not old.executed)
        if old is None or restricted:
            self.facts.append(("rejected", command.order_id, "restricted" if restricted else "unknown"))
            if command.mode == STOP_ON_FAILURE:
                self.facts.append(("rejected", new.id, "not attempted"))
            elif new.purse < command.need:
                self.facts.append(("rejected", new.id, "balance"))
            else:
                self._place(new)
            return
        if old.partner:
            other = old.partner
            self.facts.append(("canceled", other.id, other.left))
            old.purse += other.purse
            self._forget(other)
        self._forget(old)
        if old.side == new.side:
            new.purse += old.purse
        why = self._refusal(new) or ("balance" if new.purse < max(new.need(), command.need) else None)
        if command.need:
            new.purse = min(new.purse, max(command.new.held, command.need))
        if why:
            self.facts += [("canceled", old.id, old.left), ("rejected", new.id, why)]
            return
        self.facts.append(("replaced", old.id, new.id, old.left))
        self._accept(new)
        self._start(new)

    def _amendorder(self, command: AmendOrder) -> None:
        entry = self._find(command.order_id, command.account)
        if entry is None:
            self.facts.append(("rejected", command.order_id, "unknown"))
        elif not entry.executed + entry.prevented < command.qty < entry.total:
            self.facts.append(("rejected", command.order_id, "amend"))
        else:
            less = entry.total - command.qty
            pair = [entry, entry.partner] if entry.partner else [entry]
            for one in pair:
                one.purse = -(-one.purse * (one.left - less) // one.left)
                one.total -= less
                one.left -= less
                one.shown = min(one.shown, one.left)
                self.facts.append(("amended", one.id, one.total, one.left))

    def _haltmarket(self, command: HaltMarket) -> None:
        self.halted = True

    def _openmarket(self, command: OpenMarket) -> None:
        self.halted = False

    # What becomes of an order.

    def _refusal(self, entry: Entry) -> str | None:
        placed, own = entry.placed, [e for e in self.entries if e.account == entry.account]
        algos = [e for e in own if e.placed.type in STOP_TYPES]
        if self.halted:
            return "closed"
        if self._find(entry.id):
            return "duplicate"
        if len(own) >= self.limits[0]:
            return "orders"
        if placed.type == LIMIT_MAKER and self._reachable(entry):
            return "take"
        if placed.type in STOP_TYPES:
            if len(algos) >= self.limits[1]:
                return "algo orders"
            if not placed.trail_bps and self.last and entry.wakes(self.last):
                return "trigger"
        return None

    def _refusal_of_both(self, *legs: Entry) -> str | None:
        own = [e for e in self.entries if e.account == legs[0].account] + list(legs)
        if len(own) > self.limits[0]:
            return "orders"
        return "algo orders" if sum(e.placed.type in STOP_TYPES for e in own) > self.limits[1] else None

    def _accept(self, entry: Entry) -> None:
        self.entries.append(entry)
        self.facts.append(("accepted", entry.id))

    def _start(self, entry: Entry) -> None:
        placed = entry.placed
        if placed.type not in STOP_TYPES:
            self._work(entry)
            return
        entry.stage, entry.place = "waiting", self._tick()
        entry.shown = min(placed.iceberg_qty or entry.left, entry.left)
        if placed.trail_bps and self.last and (not placed.stop_price or entry.wakes(self.last)):
            entry.extreme = self.last
        self._settle(entry)

    def _work(self, entry: Entry) -> None:
        placed = entry.placed
        entry.stage = "new"
        if placed.tif == FOK and entry.priced and not self._fills_at_once(entry):
            self._end(entry, "expired")
            return
        closed = self._trade_by_quote(entry) if placed.quote_qty else self._trade(entry)
        if closed:
            return
        if entry.priced and placed.tif == GTC:
            entry.stage, entry.place = "book", self._tick()
            entry.shown = min(placed.iceberg_qty or entry.left, entry.left)
            self._settle(entry)
        else:
            self._end(entry, "expired")

    def _reachable(self, entry: Entry) -> list[Entry]:
        return [
            e for e in self._book(-entry.side)
            if not entry.priced or (entry.placed.price - e.placed.price) * entry.side >= 0
        ]  # fmt: skip

    def _fills_at_once(self, entry: Entry) -> bool:
        wanted = entry.left
        for maker in self._reachable(entry):
            if maker.account == entry.account and entry.placed.stp:
                if entry.placed.stp != STP_EXPIRE_MAKER:
                    return False
                continue
            wanted -= maker.left
            if wanted <= 0:
                return True
        return False

    def _trade(self, taker: Entry) -> bool:
        while taker.left and (makers := self._reachable(taker)):
            maker = makers[0]
            if taker.placed.stp and maker.account == taker.account:
                self._prevent(taker, maker, taker.left)
                if taker.stage == "done":
                    return True
                continue
            qty = min(taker.left, maker.shown)
            if taker.side == BUY and not taker.priced:
                qty = min(qty, taker.purse // maker.placed.price)
            if not qty:
                return False
            self._win(taker)
            taker.left -= qty
            self._fill(taker, maker, qty)
        if not taker.left:
            self._forget(taker)
        return not taker.left

    def _trade_by_quote(self, taker: Entry) -> bool:
        budget = taker.placed.quote_qty
        while makers := self._reachable(taker):
            maker = makers[0]
            price = maker.placed.price
            room = budget // price
            if not room:
                if taker.executed:
                    self._forget(taker)
                return taker.executed > 0
            taker.left = room
            if taker.placed.stp and maker.account == taker.account:
                budget -= self._prevent(taker, maker, room) * price
                if taker.stage == "done":
                    return True
                continue
            qty = min(room, maker.shown, taker.purse // (price if taker.side == BUY else LOT))
            if not qty:
                return False
            budget -= qty * price
            taker.left = room - qty
            self._fill(taker, maker, qty)
        return False

    def _fill(self, taker: Entry, maker: Entry, qty: int) -> None:
        self._win(maker)
        price = maker.placed.price
        maker.left -= qty
        maker.shown -= qty
        for one in (taker, maker):
            one.executed += qty
            one.spent += qty * price
            one.purse -= qty * (price if one.side == BUY else LOT)
        self.last = price
        self._prints.append(price)
        self.facts.append(("traded", price, qty, maker.id, taker.id))
        if not maker.left:
            self._forget(maker)
        elif not maker.shown:
            maker.shown, maker.place = min(maker.placed.iceberg_qty, maker.left), self._tick()

    def _prevent(self, taker: Entry, maker: Entry, room: int) -> int:
        mode, both = taker.placed.stp, min(room, maker.left)
        taker_loss = {STP_EXPIRE_TAKER: room, STP_EXPIRE_BOTH: room, STP_DECREMENT: both}.get(mode, 0)
        maker_loss = {STP_EXPIRE_MAKER: maker.left, STP_EXPIRE_BOTH: maker.left, STP_DECREMENT: both}.get(mode, 0)
        self.facts.append(("prevented", maker.id, taker.id, both, maker_loss, taker_loss))
        if maker_loss:
            maker.prevented += maker_loss
            if maker_loss == maker.left:
                self._end(maker, "expired")
            else:
                self._win(maker)
                maker.left -= maker_loss
                maker.shown = min(maker.shown, maker.left)
                self._settle(maker)
        if taker_loss:
            taker.prevented += taker_loss
            taker.left = room
            if taker_loss == room:
                self._end(taker, "expired")
            else:
                taker.left -= taker_loss
        return taker_loss

    def _win(self, entry: Entry) -> None:
        """One of two legs is needed no more."""
        other = entry.partner
        if other is not None:
            self.facts.append(("expired", other.id, other.left))
            entry.purse += other.purse
            self._forget(other)
            self._settle(entry)

    def _end(self, entry: Entry, how: str) -> None:
        self.facts.append((how, entry.id, entry.left))
        if entry.partner is not None:
            self.facts.append((how, entry.partner.id, entry.partner.left))
            self._forget(entry.partner)
        self._forget(entry)

    def _forget(self, entry: Entry) -> None:
        entry.stage = "done"
        if entry in self.entries:
            self.entries.remove(entry)
        if entry.partner is not None:
            entry.partner.partner = None
            entry.partner = None

    def _settle(self, entry: Entry) -> None:
        if entry.partner is None:
            entry.purse = min(entry.purse, entry.need())

    def _run_stops(self) -> None:
        while True:
            for price in self._prints:
                self._compare_stops(price)
            self._prints = []
            if not self._due:
                return
            entry = self._due.pop(0)
            if entry.stage == "due":
                self._work(entry)

    def _compare_stops(self, price: int) -> None:
        for entry in sorted((e for e in self.entries if e.stage == "waiting"), key=lambda e: e.place):
            if entry.stage != "waiting":
                continue  # the other leg of its list was faster
            if entry.extreme is not None:
                reached = entry.follows_to(price)
            elif entry.placed.trail_bps:
                if not entry.placed.stop_price or entry.wakes(price):
                    entry.extreme, entry.place = price, self._tick()
                continue
            else:
                reached = entry.wakes(price)
            if reached:
                entry.stage, entry.place = "due", self._tick()
                self.facts.append(("triggered", entry.id))
                self._win(entry)
                self._due.append(entry)
