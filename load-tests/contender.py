"""Runs one matching core over the common flow and prints its messages per CPU second: contender.py NAME SEED."""

import contextlib
import gc
import json
import logging
import sys
import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from flow import ADD, Message, flow

COLLECT_AFTER = (50_000, 20, 100)  # as ``outcry up`` sets Python's garbage collector, for every contender
Apply = Callable[[Sequence[Message]], int]  # applies messages, returns how many trades it saw


def listed_pit() -> Any:
    """A pit with one market and nothing in it."""
    from outcry.market.commands import SetInstrument
    from outcry.market.instrument import Instrument
    from outcry.market.pit import Pit

    pit = Pit()
    names = {"symbol": "BTCUSD", "base": "BTC", "quote": "USD"}
    assets = {"base_asset": 1, "quote_asset": 2, "tick_size": 1_000_000, "lot_size": 1_000}
    terms = Instrument(symbol_id=1, partition=0, max_orders=1 << 30, **names, **assets)
    pit.apply(SetInstrument(command_id=0, symbol_id=1, instrument=terms), 1)
    return pit


def outcry_pit() -> Apply:
    """The product's whole core, driven as its engine does: commands in, events out, holds and fees settled.

    What was touched is taken after each command, the levels that changed after each frame.
    """
    from outcry.codec import MAX_COMMANDS
    from outcry.market.commands import CancelOrder, PlaceOrder

    pit = listed_pit()
    market, touched = pit.markets[1], pit.touched

    def apply_frame(messages: Sequence[Message]) -> None:
        for kind, order_id, side, price, qty in messages:
            account = order_id & 1023
            if kind == ADD:
                held = price * qty * 10 if side > 0 else qty * 1000
                command: Any = PlaceOrder(
                    command_id=order_id, symbol_id=1, order_id=order_id, account=account, client_order_id="",
                    side=side, type=1, qty=qty, price=price, held=held, maker_ppm=1000, taker_ppm=1000,
                )  # fmt: skip
            else:
                command = CancelOrder(
                    command_id=order_id, symbol_id=1, account=account, order_id=order_id, target_valid_until_ms=0
                )
            pit.apply(command, 1)
            touched.clear()
        market.take_levels()

    def apply(messages: Sequence[Message]) -> int:
        before = market.trade_seq
        for start in range(0, len(messages), MAX_COMMANDS):
            apply_frame(messages[start : start + MAX_COMMANDS])
        return market.trade_seq - before

    return apply


def akhil4n_orderbook() -> Apply:
    import orderbook as package

    book = package.OrderBook()
    known: dict[int, str] = {}
    sides = {1: package.OrderSide.BID, -1: package.OrderSide.ASK}

    def apply(messages: Sequence[Message]) -> int:
        before = len(book.trade_log)
        for kind, order_id, side, price, qty in messages:
            if kind == ADD:
                order = package.Order(side=sides[side], price=Decimal(price), original_quantity=qty)
                known[order_id] = order.order_id
                book.add_limit_order(order)
            else:
                book.cancel_order(known.pop(order_id))
        return len(book.trade_log) - before

    return apply


def pyorderbook() -> Apply:
    import pyorderbook as package

    logging.disable(logging.CRITICAL)
    book = package.Book()
    known: dict[int, Any] = {}
    makers = {1: package.bid, -1: package.ask}

    def apply(messages: Sequence[Message]) -> int:
        trades = 0
        for kind, order_id, side, price, qty in messages:
            if kind == ADD:
                order = known[order_id] = makers[side]("BTCUSD", price, qty)
                trades += len(book.match(order).trades)
            else:
                order = known.pop(order_id)
                if book.get_order(order.id) is not None:
                    book.cancel(order)
        return trades

    return apply


def fastlob() -> Apply:
    import fastlob as package

    logging.disable(logging.CRITICAL)
    book = package.Orderbook(start=False)
    book._alive = True  # what start() sets, without its background thread
    known: dict[int, str] = {}
    sides = {1: package.OrderSide.BID, -1: package.OrderSide.ASK}

    def apply(messages: Sequence[Message]) -> int:
        trades = 0
        for kind, order_id, side, price, qty in messages:
            if kind == ADD:
                result = book.process(package.OrderParams(side=sides[side], price=price, quantity=qty))
                known[order_id] = result.orderid()
                trades += result.n_orders_matched()
            else:
                with contextlib.suppress(KeyError):  # it forgets the price level of an order that traded partly
                    book.cancel(known.pop(order_id))
        return trades

    return apply


CONTENDERS: dict[str, Callable[[], Apply]] = {
    "outcry": outcry_pit,
    "akhil4n-orderbook": akhil4n_orderbook,
    "pyorderbook": pyorderbook,
    "fastlob": fastlob,
}


def spare_the_collector() -> None:
    """What ``outcry up`` does once the book is loaded."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


def main() -> None:
    name, seed = sys.argv[1], int(sys.argv[2])
    book, messages = flow(seed)
    apply = CONTENDERS[name]()
    apply(book)
    spare_the_collector()
    start = time.process_time()
    trades = apply(messages)
    seconds = time.process_time() - start
    print(json.dumps({"name": name, "messages_per_second": len(messages) / seconds, "trades": trades}))


main()
