"""The jsonl format: one JSON object a line, prices in ticks, sizes in lots, ids chosen by the caller."""

from typing import Any, Final

import msgspec

from outcry.market.commands import AmendOrder, AnyCommand, CancelOrder, PlaceList, PlaceOrder, ReplaceOrder
from outcry.market.events import (
    AnyEvent,
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
from outcry.market.order import Order
from outcry.market.pit import Pit
from outcry.roles.match.fields import Fields
from outcry.roles.match.script import SYMBOL_ID, NotACommand, fresh_pit, hold_of, list_hold

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder().decode

Line = dict[str, Any]


class Place(msgspec.Struct, frozen=True):
    """A new order or an OCO list; its hold is found when it is applied."""

    op: str
    command: PlaceOrder | PlaceList


class Target(msgspec.Struct, frozen=True):
    """A change of the order ``order_id``; ``price`` and ``new_id`` are those of a replacement."""

    op: str
    order_id: int
    qty: int = 0
    price: int = 0
    new_id: int = 0


class Show(msgspec.Struct, frozen=True):
    """A question about the book: ``depth`` 0 is all of it, or one level's queue."""

    op: str
    depth: int = 0
    side: int = 0
    price: int = 0


Command = Place | Target | Show


class JsonLines:
    """Applies commands and writes their events as lines."""

    def __init__(self) -> None:
        self._pit = fresh_pit()
        self._applied: list[tuple[str, list[AnyEvent] | Line]] = []
        self._number = 0
        self.events = 0

    def parse(self, line: bytes) -> Command | None:
        """A line of input; an empty one carries nothing."""
        if not line.strip():
            return None
        try:
            fields = _decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise NotACommand(f"line, a JSON object, {line[:80].decode(errors='replace')}") from None
        if not isinstance(fields, dict):
            raise NotACommand(f"line, a JSON object, {line[:80].decode(errors='replace')}")
        return _command_of(Fields(fields))

    def apply(self, command: object) -> None:
        if isinstance(command, Show):
            self._applied.append((command.op, _show(self._pit, command)))
            return
        assert isinstance(command, Place | Target)
        action = command.command if isinstance(command, Place) else _action_of(self._pit, command)
        self._applied.append((command.op, self._pit.apply(action, 0)))
        self._pit.touched.clear()
        self._pit.touched_lists.clear()

    def take(self) -> bytes:
        lines = []
        for op, caused in self._applied:
            self._number += 1
            shown = [caused] if isinstance(caused, dict) else _lines_of(op, caused)
            for line in shown:
                name = line.pop("event")
                lines.append(_encode({"event": name, "n": self._number, **line}))
        self._applied.clear()
        self.events += len(lines)
        return b"\n".join([*lines, b""]) if lines else b""

    def finish(self) -> bytes:
        return b""


def _command_of(fields: Fields) -> Command:
    op = fields.choice("op", ("new", "oco", "cancel", "amend", "replace", "book", "queue"))
    command: Command
    if op == "new":
        placed = fields.order(fields.side(), fields.account())
        command = Place(op, msgspec.structs.replace(placed, held=hold_of(placed)))
    elif op == "oco":
        command = Place(op, _list_of(fields))
    elif op == "cancel":
        command = Target(op, fields.order_id("id"))
    elif op == "amend":
        command = Target(op, fields.order_id("id"), qty=fields.lots("qty"))
    elif op == "replace":
        order_id = fields.order_id("id")
        new_id = fields.order_id("new_id", order_id)
        command = Target(op, order_id, qty=fields.lots("qty"), price=fields.price("price"), new_id=new_id)
    elif op == "book":
        command = Show(op, depth=fields.lots("depth", 0))
    else:
        command = Show(op, side=fields.side(), price=fields.price("price"))
    fields.nothing_else()
    return command


def _list_of(fields: Fields) -> PlaceList:
    side, account, qty = fields.side(), fields.account(), fields.lots("qty")
    legs = []
    for name in ("above", "below"):
        leg = fields.nested(name)
        legs.append(leg.order(side, account, qty))
        leg.nothing_else()
    above, below = legs
    if above.order_id == below.order_id:
        raise NotACommand(f"below.id, another than above.id, {below.order_id}")
    return PlaceList(
        command_id=0,
        symbol_id=SYMBOL_ID,
        list_id=above.order_id,
        account=account,
        client_list_id="",
        above=msgspec.structs.replace(above, held=list_hold(above, below)),
        below=below,
    )


def _action_of(pit: Pit, target: Target) -> AnyCommand:
    order = pit.find(target.order_id)
    account = order.account if order is not None else 0
    if target.op == "amend":
        return AmendOrder(command_id=0, symbol_id=SYMBOL_ID, account=account, order_id=target.order_id, qty=target.qty)
    if target.op == "cancel" or order is None:
        return CancelOrder(
            command_id=0, symbol_id=SYMBOL_ID, account=account, order_id=target.order_id, target_valid_until_ms=0
        )
    new = _as_placed(order, target)
    return ReplaceOrder(
        command_id=0,
        symbol_id=SYMBOL_ID,
        account=account,
        order_id=target.order_id,
        target_valid_until_ms=0,
        new=msgspec.structs.replace(new, held=hold_of(new)),
    )


def _as_placed(order: Order, target: Target) -> PlaceOrder:
    """The order's terms once more, but for what a replacement names."""
    return PlaceOrder(
        command_id=0, symbol_id=SYMBOL_ID, order_id=target.new_id, account=order.account,
        client_order_id=order.client_order_id, side=order.side, type=order.kind, qty=target.qty, price=target.price,
        tif=order.tif, stop_price=order.stop_price, trail_bps=order.trail_bps, iceberg_qty=order.peak, stp=order.stp,
        maker_ppm=order.maker_ppm, taker_ppm=order.taker_ppm,
    )  # fmt: skip


def _show(pit: Pit, question: Show) -> Line:
    market = pit.markets[SYMBOL_ID]
    if question.op == "queue":
        return {
            "event": "queue",
            "orders": [[order.order_id, order.left] for order in market.queue(question.side, question.price)],
        }
    levels = market.levels()
    depth = question.depth or len(levels)
    bids = [[price, lots] for side, price, lots in levels if side > 0]
    asks = [[price, lots] for side, price, lots in levels if side < 0]
    return {"event": "book", "bids": bids[:depth], "asks": asks[:depth]}


def _lines_of(op: str, events: list[AnyEvent]) -> list[Line]:
    """The events that the format knows; money is not among them."""
    replaced = [event.new_id for event in events if isinstance(event, OrderReplaced)]
    lines = []
    for event in events:
        if isinstance(event, OrderAccepted) and event.order_id in replaced:
            continue  # "replaced" says it
        line = _line_of(op, event)
        if line is not None:
            lines.append(line)
    return lines


def _line_of(op: str, event: AnyEvent) -> Line | None:
    match event:
        case Traded():
            return {
                "event": "traded",
                "price": event.price,
                "qty": event.qty,
                "maker": event.maker_id,
                "taker": event.taker_id,
            }
        case OrderAccepted():
            return {"event": "accepted", "id": event.order_id}
        case OrderCanceled():
            return {"event": "canceled", "id": event.order_id, "left": event.left, "reason": event.reason}
        case OrderExpired():
            return {"event": "expired", "id": event.order_id, "left": event.left, "reason": event.reason}
        case OrderAmended():
            return {"event": "amended", "id": event.order_id, "left": event.left}
        case OrderReplaced():
            return {"event": "replaced", "id": event.order_id, "left": event.left, "new_id": event.new_id}
        case OrderTriggered():
            return {"event": "triggered", "id": event.order_id}
        case MatchPrevented():
            return {"event": "prevented", "maker": event.maker_id, "taker": event.taker_id, "qty": event.qty}
        case OrderRejected():
            return {"event": "rejected", "id": event.order_id, "op": op, "reason": event.text}
        case _:
            return None
