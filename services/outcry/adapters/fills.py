"""The fills of orders' answers, sorted out of the trades of a span: what both ledgers do with what they have read."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import attrgetter

from outcry.rows import OrderRow, TradeRow

Answered = dict[int, list[TradeRow]]  # by order id

_SYMBOL = attrgetter("symbol_id")


def by_symbol(placed: Iterable[OrderRow]) -> list[tuple[int, list[OrderRow]]]:
    """Orders with their symbol, whose trades lie together."""
    return [(symbol_id, list(rows)) for symbol_id, rows in groupby(sorted(placed, key=_SYMBOL), key=_SYMBOL)]


def offsets_of(rows: Sequence[OrderRow]) -> tuple[int, int]:
    """The first and the last log offset at which one of the orders was placed."""
    offsets = [row.applied_offset for row in rows]
    return min(offsets), max(offsets)


def answered(placed: Iterable[OrderRow], trades: Iterable[TradeRow]) -> Answered:
    """Of each order the trades in which it was the taker at its own record, in their order."""
    own = {row.order_id: row.applied_offset for row in placed}
    found: Answered = {order_id: [] for order_id in own}
    for trade in trades:
        if own.get(trade.taker_order) == trade.log_offset:
            found[trade.taker_order].append(trade)
    return found
