"""The flash1 format: CSV messages in, a report stream sorted by (seq, type) out; sides 0 buy, 1 sell."""

from typing import Final

from outcry.market.commands import CancelOrder, PlaceOrder, ReplaceOrder
from outcry.market.events import AnyEvent, OrderCanceled, OrderExpired, OrderRejected, Traded
from outcry.market.instrument import MAX_PRICE_TICKS
from outcry.market.terms import BUY, GTC, IOC, LIMIT, SELL
from outcry.roles.match.script import SYMBOL_ID, NotACommand, fresh_pit

NEW: Final = 0
CANCEL: Final = 1
MODIFY: Final = 2

COLUMNS: Final = ("type", "side", "ioc", "qty", "seq", "order_id", "price")
HEADER: Final = ",".join(COLUMNS).encode()

# Report types, in the order in which reports of one message are sorted.
ORDER_ACK: Final = 0
TRADE: Final = 1
CANCEL_ACK: Final = 2
MODIFY_ACK: Final = 3
CANCEL_REJECT: Final = 4
MODIFY_REJECT: Final = 5

Message = tuple[int, int, int, int, int, int, int]  # as COLUMNS


class Flash1:
    """Collects the whole report stream, because it is sorted before it is written."""

    def __init__(self) -> None:
        self._pit = fresh_pit()
        # Each message with the side and the price of the order that it is about.
        self._applied: list[tuple[Message, int, int, list[AnyEvent]]] = []
        self.events = 0

    def parse(self, line: bytes) -> Message | None:
        """A line of the messages file; its header and empty lines carry nothing."""
        line = line.strip()
        if not line or line == HEADER:
            return None
        fields = line.split(b",")
        if len(fields) != len(COLUMNS):
            raise NotACommand(f"line, {len(COLUMNS)} fields, {len(fields)}")
        values = [_whole(name, field) for name, field in zip(COLUMNS, fields, strict=True)]
        kind, side, ioc, qty, seq, order_id, price = values
        _check("type", kind, (NEW, CANCEL, MODIFY))
        _check("side", side, (0, 1))
        _check("ioc", ioc, (0, 1))
        if kind != CANCEL and not 0 < price < MAX_PRICE_TICKS:
            raise NotACommand(f"price, from 1 to {MAX_PRICE_TICKS - 1}, {price}")
        if kind != CANCEL and not qty:
            raise NotACommand("qty, at least 1, 0")
        return kind, side, ioc, qty, seq, order_id, price

    def apply(self, command: object) -> None:
        assert isinstance(command, tuple)
        kind, side, ioc, qty, _, order_id, price = command
        pit = self._pit
        order = pit.find(order_id) if kind != NEW else None
        if order is not None:
            side = 0 if order.side == BUY else 1
        at = order.price if order is not None else 0
        action: PlaceOrder | CancelOrder | ReplaceOrder
        if kind == CANCEL:
            action = CancelOrder(
                command_id=0, symbol_id=SYMBOL_ID, account=0, order_id=order_id, target_valid_until_ms=0
            )
        else:
            action = PlaceOrder(
                command_id=0,
                symbol_id=SYMBOL_ID,
                order_id=order_id,
                account=0,
                client_order_id="",
                side=SELL if side else BUY,
                type=LIMIT,
                qty=qty,
                price=price,
                tif=IOC if ioc else GTC,
                held=qty * 10_000 if side else qty * price,
            )
            if kind == MODIFY:
                action = ReplaceOrder(
                    command_id=0, symbol_id=SYMBOL_ID, account=0, order_id=order_id, target_valid_until_ms=0, new=action
                )
        events = pit.apply(action, 0)
        pit.touched.clear()
        self._applied.append((command, side, at, events))

    def take(self) -> bytes:
        return b""

    def finish(self) -> bytes:
        """The report stream of the whole input."""
        reports: list[tuple[int, int, str]] = []
        for message, side, at, events in self._applied:
            _report(message, (side, at), events, reports)
        reports.sort(key=_seq_and_type)
        self.events = len(reports)
        return "\n".join([text for _, _, text in reports]).encode()


def _report(
    message: Message, own: tuple[int, int], events: list[AnyEvent], reports: list[tuple[int, int, str]]
) -> None:
    kind, _, _, qty, seq, order_id, price = message
    side, at = own
    refused = any(type(event) is OrderRejected and event.op == "cancel" for event in events)
    if kind == NEW and not any(type(event) is OrderRejected for event in events):
        reports.append((seq, ORDER_ACK, f"0,{seq},{side},{order_id},{price},{qty}"))
    elif kind == MODIFY:
        text = f"5,{seq},{order_id}" if refused else f"3,{seq},{side},{order_id},{price},{qty}"
        reports.append((seq, MODIFY_REJECT if refused else MODIFY_ACK, text))
    elif kind == CANCEL and refused:
        reports.append((seq, CANCEL_REJECT, f"4,{seq},{order_id}"))
    for event in events:
        if isinstance(event, Traded):
            text = f"1,{seq},{event.price},{event.qty},{event.maker_id},{event.taker_id}"
            reports.append((seq, TRADE, text))
        elif isinstance(event, OrderExpired | OrderCanceled):
            text = f"2,{seq},{side},{order_id},{at if kind == CANCEL else price}"
            reports.append((seq, CANCEL_ACK, text))


def _seq_and_type(report: tuple[int, int, str]) -> tuple[int, int]:
    return report[0], report[1]


def _whole(name: str, field: bytes) -> int:
    if not field.isdigit() or len(field) > 16:
        raise NotACommand(f"{name}, a whole number of at most 16 digits, {field.decode(errors='replace')}")
    return int(field)


def _check(name: str, value: int, allowed: tuple[int, ...]) -> None:
    if value not in allowed:
        raise NotACommand(f"{name}, one of {' '.join(map(str, allowed))}, {value}")
