"""Orders as traders write them: a script of commands, each with what comes of it, played on a fresh market.

``buy 5@99``, ``sell 5@market``, ``buy $500@market``; then any of ``maker``, ``ioc``, ``fok``, ``peak 2``,
``stop 105``, ``profit 95``, ``loss`` (a stop order without a stop price), ``trail 500``, ``by 7`` (account),
``stp taker``. Orders are numbered #1, #2 ... as they come. Further ``cancel #1``, ``amend #1 to 3``,
``replace #1 with buy 5@99``, ``halt``, ``open``. Behind ``->`` stands everything that happens, separated by commas;
a comma at the end goes on in the next line.
"""

import re
from typing import Any

from outcry.market.commands import (
    AmendOrder,
    AnyCommand,
    CancelOrder,
    HaltMarket,
    OpenMarket,
    PlaceOrder,
    ReplaceOrder,
    SetInstrument,
)
from outcry.market.events import (
    AnyEvent,
    MatchPrevented,
    OrderAmended,
    OrderCanceled,
    OrderExpired,
    OrderRejected,
    OrderReplaced,
    OrderTriggered,
    Traded,
)
from outcry.market.floor import Market
from outcry.market.holds import need_of
from outcry.market.instrument import Instrument
from outcry.market.order import Order
from outcry.market.pit import Pit
from outcry.market.terms import (
    BUY,
    FOK,
    GTC,
    IOC,
    LIMIT,
    LIMIT_MAKER,
    MARKET,
    SELL,
    STOP_LOSS,
    STOP_LOSS_LIMIT,
    STP_DECREMENT,
    STP_EXPIRE_BOTH,
    STP_EXPIRE_MAKER,
    STP_EXPIRE_TAKER,
    TAKE_PROFIT,
    TAKE_PROFIT_LIMIT,
    WAITING,
)

UNITS = Instrument(
    symbol_id=1, symbol="AB", partition=0, base="A", quote="B", base_asset=1, quote_asset=2, tick_size=10_000,
    lot_size=10_000,
)  # fmt: skip
LOT = 10_000  # minor units of base in a lot; a lot at a price of one tick costs one minor unit of quote
STP = {"taker": STP_EXPIRE_TAKER, "maker": STP_EXPIRE_MAKER, "both": STP_EXPIRE_BOTH, "decrement": STP_DECREMENT}
PLENTY = 1 << 60
ORDER = re.compile(r"(buy|sell) (\$?)(\d+)@(\d+|market)(.*)")


class Ring:
    """A fresh market of one symbol, and the orders shouted into it."""

    def __init__(self, instrument: Instrument = UNITS, **bounds: int) -> None:
        self.pit = Pit(**bounds)
        self.pit.apply(SetInstrument(command_id=0, symbol_id=1, instrument=instrument), 0)
        self.market: Market = self.pit.markets[1]
        self.last_id = 0
        self.events: list[AnyEvent] = []

    def play(self, script: str) -> "Ring":
        """Plays the script; fails at the first line that comes to something else."""
        for line in re.sub(r",\s*\n\s*", ", ", script).splitlines():
            if not line.strip():
                continue
            asked, _, expected = map(str.strip, line.partition("->"))
            happened = ", ".join(self.shout(asked))
            assert happened == expected, f"{asked} -> {happened}"
        return self

    def shout(self, asked: str) -> list[str]:
        """One command in words; gives what happens in words."""
        return self.send(self.command(asked))

    def send(self, command: AnyCommand) -> list[str]:
        self.events = self.pit.apply(command, 0)
        told = [text for text in map(self._tell, self.events) if text]
        return told + [text for text in map(self._fate, _new_ids(command)) if text]

    def command(self, asked: str) -> AnyCommand:
        words = asked.split()
        if words[0] == "cancel":
            order_id = int(words[1][1:])
            return CancelOrder(
                command_id=0, symbol_id=1, account=self.owner(order_id), order_id=order_id, target_valid_until_ms=0
            )
        if words[0] == "amend":
            order_id = int(words[1][1:])
            return AmendOrder(
                command_id=0, symbol_id=1, account=self.owner(order_id), order_id=order_id, qty=int(words[3])
            )
        if words[0] == "replace":
            order_id, new = int(words[1][1:]), asked.partition(" with ")[2]
            account = self.owner(order_id)
            return ReplaceOrder(
                command_id=0, symbol_id=1, account=account, order_id=order_id, target_valid_until_ms=0,
                new=self.order(new, account=account),
            )  # fmt: skip
        if words[0] in ("halt", "open"):
            return (
                HaltMarket(command_id=0, symbol_id=1) if words[0] == "halt" else OpenMarket(command_id=0, symbol_id=1)
            )
        return self.order(asked)

    def order(self, asked: str, **fields: Any) -> PlaceOrder:
        """A new order in words, with a hold that suffices; ``fields`` override."""
        found = ORDER.fullmatch(asked)
        assert found, f"not an order: {asked}"
        side, is_quote, qty, price, rest = found.groups()
        self.last_id += 1
        terms: dict[str, Any] = {
            "order_id": self.last_id, "client_order_id": f"c{self.last_id}", "account": 1000 + self.last_id,
            "side": BUY if side == "buy" else SELL, "qty": 0 if is_quote else int(qty),
            "quote_qty": int(qty) if is_quote else 0, "price": 0 if price == "market" else int(price),
            "type": MARKET if price == "market" else LIMIT, "tif": GTC,
        }  # fmt: skip
        terms |= _options(rest.split(), priced=price != "market") | fields
        placed = PlaceOrder(command_id=0, symbol_id=1, **terms)
        held = need_of(placed, UNITS, self.market.last_price) or PLENTY
        return PlaceOrder(command_id=0, symbol_id=1, **(terms | {"held": terms.get("held", held)}))

    def owner(self, order_id: int) -> int:
        order = self.pit.find(order_id)
        return order.account if order else 0

    def touched(self, order_id: int) -> Order:
        """An order that a command changed, as it is now."""
        return [order for order in self.pit.touched if order.order_id == order_id][-1]

    def held(self, order_id: int) -> int:
        order = self.pit.find(order_id)
        return order.held if order else 0

    def _fate(self, order_id: int) -> str | None:
        order = self.pit.find(order_id)
        if order is None:
            return None
        if order.stage == WAITING:
            return f"#{order_id} waits"
        return f"#{order_id} rests" if order.level is not None else None

    def _tell(self, event: AnyEvent) -> str | None:
        match event:
            case Traded():
                return f"#{event.taker_id} takes {event.qty}@{event.price} from #{event.maker_id}"
            case OrderCanceled():
                return f"#{event.order_id} canceled with {event.left}"
            case OrderExpired():
                return f"#{event.order_id} expires with {event.left} ({event.reason})"
            case OrderAmended():
                return f"#{event.order_id} has {event.left} left"
            case OrderReplaced():
                return f"#{event.order_id} makes way for #{event.new_id}"
            case OrderTriggered():
                return f"#{event.order_id} triggers"
            case MatchPrevented():
                lost = f"{event.maker_prevented} and {event.taker_prevented}"
                return f"#{event.maker_id} and #{event.taker_id} kept apart losing {lost}"
            case OrderRejected():
                return f"#{event.order_id} refused: {event.text}"
            case _:
                return None


def play(script: str) -> Ring:
    """Plays a script on a fresh market."""
    return Ring().play(script)


def _new_ids(command: AnyCommand) -> list[int]:
    if isinstance(command, PlaceOrder):
        return [command.order_id]
    return [command.new.order_id] if isinstance(command, ReplaceOrder) else []


def _options(words: list[str], *, priced: bool) -> dict[str, Any]:
    terms: dict[str, Any] = {}
    rest = iter(words)
    for word in rest:
        match word:
            case "maker":
                terms["type"] = LIMIT_MAKER
            case "ioc" | "fok":
                terms["tif"] = IOC if word == "ioc" else FOK
            case "peak":
                terms["iceberg_qty"] = int(next(rest))
            case "stop":
                terms |= {"type": STOP_LOSS_LIMIT if priced else STOP_LOSS, "stop_price": int(next(rest))}
            case "profit":
                terms |= {"type": TAKE_PROFIT_LIMIT if priced else TAKE_PROFIT, "stop_price": int(next(rest))}
            case "loss":
                terms["type"] = STOP_LOSS_LIMIT if priced else STOP_LOSS
            case "trail":
                terms["trail_bps"] = int(next(rest))
            case "by":
                terms["account"] = int(next(rest))
            case "stp":
                terms["stp"] = STP[next(rest)]
            case _:
                raise AssertionError(f"no such word: {word}")
    return terms
