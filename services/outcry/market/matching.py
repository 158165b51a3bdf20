"""How an order meets the other side: price, then time; every trade at the maker's price.

A sweep ends when the order is filled, when no better price is left, when its hold or its quote budget is spent,
when it met an order of its own account, or when the command has made all the fills it may.
"""

from typing import Final

from outcry.market.book import Level
from outcry.market.closing import BY_SELF_TRADE, close, expire, need_now, release, win_list
from outcry.market.events import MatchPrevented, Traded
from outcry.market.floor import Market
from outcry.market.ladder import TOP
from outcry.market.order import Order, is_priced
from outcry.market.terms import (
    BUY,
    EXPIRED_IN_MATCH,
    FILLED,
    PARTIALLY_FILLED,
    PPM,
    STP_DECREMENT,
    STP_EXPIRE_BOTH,
    STP_EXPIRE_MAKER,
    STP_EXPIRE_TAKER,
    STP_NONE,
    WAITING,
)  # fmt: skip

# What ended a sweep.
IS_FILLED: Final = 0
NO_PRICE: Final = 1  # the other side has nothing (more) at an acceptable price
NO_HOLD: Final = 2  # the hold buys no further lot
NO_BUDGET: Final = 3  # the rest of quoteOrderQty buys less than one lot
NO_WORK: Final = 4  # the command has made all its fills
SELF_TRADE: Final = 5  # the order is closed

# The most frequent event under a name of this module's own, which compiled code need not look up.
TELL_TRADED: Final = Traded


def sweep(market: Market, taker: Order) -> int:
    """Trades a priced order or one with a quantity against the other side; says what ended it."""
    side = taker.side
    half = market.asks if side == BUY else market.bids
    has_limit = is_priced(taker.kind)
    has_bound = side == BUY and not has_limit
    stp = taker.stp
    agg_price = 0
    while taker.left:
        level = half.best
        if level is None or (has_limit and level.rung + taker.rung < TOP):
            return NO_PRICE
        maker = level.head
        assert maker is not None
        if not market.work_left:
            return NO_WORK
        market.work_left -= 1
        if stp and maker.account == taker.account:
            prevent(market, taker, maker, taker.left)
            if not taker.is_open():
                return SELF_TRADE
            continue
        qty = maker.visible if maker.visible < taker.left else taker.left
        if has_bound:
            qty = min(qty, taker.held // (level.price * market.quote_unit))
            if not qty:
                return NO_HOLD
        if level.price != agg_price:
            agg_price = level.price
            market.agg_seq += 1
        if taker.oco is not None:
            win_list(market, taker)
        taker.left -= qty
        fill(market, taker, maker, qty)
    return IS_FILLED


def sweep_quote(market: Market, taker: Order) -> int:
    """Trades a market order by quoteOrderQty: whole lots for as much quote money as was named."""
    half = market.asks if taker.side == BUY else market.bids
    budget = taker.quote_qty
    agg_price = 0
    while True:
        level = half.best
        if level is None:
            return NO_PRICE
        lot_cost = level.price * market.quote_unit
        room = budget // lot_cost
        if not room:
            return NO_BUDGET
        if not market.work_left:
            return NO_WORK
        market.work_left -= 1
        taker.left = room
        maker = level.head
        assert maker is not None
        if taker.stp and maker.account == taker.account:
            budget -= prevent(market, taker, maker, room) * lot_cost
            if not taker.is_open():
                return SELF_TRADE
            continue
        qty = min(maker.visible, room, taker.held // (lot_cost if taker.side == BUY else market.lot_size))
        if not qty:
            return NO_HOLD
        if level.price != agg_price:
            agg_price = level.price
            market.agg_seq += 1
        budget -= qty * lot_cost
        taker.left = room - qty
        fill(market, taker, maker, qty)


def fill(market: Market, taker: Order, maker: Order, qty: int) -> None:
    """One trade of ``qty`` lots; ``taker.left`` counts it already."""
    if maker.oco is not None:
        win_list(market, maker)
    price = maker.price
    amount = price * qty * market.quote_unit
    size = qty * market.lot_size
    if taker.side == BUY:
        taker.held -= amount
        maker.held -= size
        taker_fee = size * taker.taker_ppm // PPM
        maker_fee = amount * maker.maker_ppm // PPM
    else:
        taker.held -= size
        maker.held -= amount
        taker_fee = amount * taker.taker_ppm // PPM
        maker_fee = size * maker.maker_ppm // PPM
    taker.executed += qty
    taker.cum_quote += amount
    taker.status = PARTIALLY_FILLED
    maker.left -= qty
    maker.executed += qty
    maker.cum_quote += amount
    market.trade_seq += 1
    market.last_price = price
    if market.triggers.count:
        prints = market.prints
        if not prints or prints[-1] != price:
            prints.append(price)
            market.is_busy = True
    market.events.append(
        TELL_TRADED(
            symbol_id=market.symbol_id, trade_id=market.trade_seq, agg_id=market.agg_seq, price=price, qty=qty,
            amount=amount, taker_side=taker.side, maker_id=maker.order_id, maker_account=maker.account,
            maker_fee=maker_fee, maker_left=maker.left, maker_executed=maker.executed, maker_quote=maker.cum_quote,
            taker_id=taker.order_id, taker_account=taker.account, taker_fee=taker_fee, taker_left=taker.left,
            taker_executed=taker.executed, taker_quote=taker.cum_quote,
        )
    )  # fmt: skip
    take_lots(market, maker, qty)


def take_lots(market: Market, maker: Order, qty: int) -> None:
    """Shows a resting order's fill in the book: it shrinks, shows its next peak, or leaves."""
    level = maker.level
    assert level is not None
    market.show(level)
    if not maker.left:
        level.unlink(maker)
        if level.head is None:
            level.half.close(level)
        close(market, maker, FILLED)
        return
    maker.status = PARTIALLY_FILLED
    maker.updated_ms = market.now_ms
    market.touched.append(maker)
    maker.visible -= qty
    level.visible -= qty
    if not maker.visible:
        refresh_peak(market, maker, level)


def refresh_peak(market: Market, maker: Order, level: Level) -> None:
    """Shows an iceberg's next peak, behind all others of its price."""
    level.unlink(maker)
    maker.visible = min(maker.peak, maker.left)
    market.priority_seq += 1
    maker.priority_seq = market.priority_seq
    level.append(maker)


def prevent(market: Market, taker: Order, maker: Order, taker_left: int) -> int:
    """Stops a trade of an account with itself as the taker's mode says; returns the lots the taker lost.

    Source: Binance Spot ``faqs/stp_faq.md``.
    """
    mode = taker.stp
    qty = min(taker_left, maker.left)
    taker_lost = maker_lost = 0
    if mode == STP_DECREMENT:
        taker_lost = maker_lost = qty
    if mode in (STP_EXPIRE_TAKER, STP_EXPIRE_BOTH):
        taker_lost = taker_left
    if mode in (STP_EXPIRE_MAKER, STP_EXPIRE_BOTH):
        maker_lost = maker.left
    market.prevented_seq += 1
    market.events.append(
        MatchPrevented(
            symbol_id=market.symbol_id, prevented_id=market.prevented_seq, maker_id=maker.order_id,
            taker_id=taker.order_id, account=taker.account, price=maker.price, qty=qty, mode=mode,
            maker_prevented=maker_lost, taker_prevented=taker_lost,
        )
    )  # fmt: skip
    if maker_lost:
        lose_as_maker(market, maker, maker_lost)
    if taker_lost:
        taker.prevented += taker_lost
        taker.left = taker_left - taker_lost
        if not taker.left:
            taker.left = taker_lost
            expire(market, taker, EXPIRED_IN_MATCH, BY_SELF_TRADE)
    return taker_lost


def lose_as_maker(market: Market, maker: Order, lots: int) -> None:
    """Takes lots that self-trade prevention stopped from a resting order, which may end it."""
    maker.prevented += lots
    if lots == maker.left:
        expire(market, maker, EXPIRED_IN_MATCH, BY_SELF_TRADE)
        return
    if maker.oco is not None:
        win_list(market, maker)
    maker.updated_ms = market.now_ms
    market.touched.append(maker)
    shrink(market, maker, lots)
    release(market, maker, need_now(market, maker))


def shrink(market: Market, order: Order, lots: int) -> None:
    """An open order loses lots but not its priority; an iceberg shows less only where less is left."""
    order.left -= lots
    cut = order.visible - order.left
    if cut <= 0:
        return
    order.visible -= cut
    level = order.level
    if level is not None:
        level.visible -= cut
        if order.stage != WAITING:
            market.show(level)


def is_fillable(market: Market, taker: Order) -> bool:
    """Whether a fill-or-kill order would be filled completely at once; looks no further than it would trade."""
    half = market.asks if taker.side == BUY else market.bids
    level = half.best
    wanted = taker.left
    work = market.work_left
    while level is not None and level.rung + taker.rung >= TOP:
        order = level.head
        while order is not None:
            work -= 1 if not order.peak else 1 + (order.left - order.visible + order.peak - 1) // order.peak
            if work < 0:
                return False
            if taker.stp == STP_NONE or order.account != taker.account:
                wanted -= order.left
                if wanted <= 0:
                    return True
            elif taker.stp != STP_EXPIRE_MAKER:
                return False
            order = order.next
        level = half.behind(level)
    return False
