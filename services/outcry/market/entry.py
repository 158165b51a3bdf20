"""How an order comes in: what the market refuses, what waits, what trades at once, and what then rests."""

from typing import Final

from outcry.market.closing import close, expire, need_now, release, win_list
from outcry.market.events import OrderAccepted, OrderRejected, OrderTriggered
from outcry.market.floor import Market
from outcry.market.ladder import RUNGS, TOP
from outcry.market.matching import IS_FILLED, NO_BUDGET, NO_HOLD, NO_WORK, SELF_TRADE, is_fillable, sweep, sweep_quote
from outcry.market.order import PRICED, Order, Tally, is_priced
from outcry.market.terms import (
    BASIS_POINTS,
    BUY,
    EXPIRED,
    FILLED,
    FOK,
    GTC,
    LIMIT,
    LIMIT_MAKER,
    MARKET,
    REJECTED,
    STOP_LOSS,
    TRIGGERED,
    WAITING,
    WORKING,
)  # fmt: skip
from outcry.market.triggers import is_reached

Refusal = tuple[int, str]  # Binance's code and text

FILTER: Final = -1013
REFUSED: Final = -2010
DUPLICATE: Final[Refusal] = (REFUSED, "Duplicate order sent.")
CLOSED: Final[Refusal] = (REFUSED, "Market is closed.")
POOR: Final[Refusal] = (REFUSED, "Account has insufficient balance for requested action.")
WOULD_TAKE: Final[Refusal] = (REFUSED, "Order would immediately match and take.")
WOULD_TRIGGER: Final[Refusal] = (REFUSED, "Order would trigger immediately.")
BAD_PRICE: Final[Refusal] = (FILTER, "Filter failure: PRICE_FILTER")
BAD_QTY: Final[Refusal] = (FILTER, "Filter failure: LOT_SIZE")
BAD_DELTA: Final[Refusal] = (FILTER, "Filter failure: TRAILING_DELTA")
TOO_MANY: Final[Refusal] = (FILTER, "Filter failure: MAX_NUM_ORDERS")
TOO_MANY_ALGO: Final[Refusal] = (FILTER, "Filter failure: MAX_NUM_ALGO_ORDERS")

# Why the market expired what was left of an order.
BY_TIME_IN_FORCE: Final = "time_in_force"
BY_LIQUIDITY: Final = "liquidity"
BY_HOLD: Final = "hold"
BY_FILLS: Final = "fills"

# The most frequent event under a name of this module's own, which compiled code need not look up.
TELL_ACCEPTED: Final = OrderAccepted


def refusal_of(market: Market, order: Order) -> Refusal | None:
    """Why the market will not take a new order, money aside."""
    if not market.is_trading:
        return CLOSED
    if order.order_id in market.orders:
        return DUPLICATE
    tally = market.tallies.get(order.account)
    if tally is None:
        tally = market.tally(order.account)
    order.tally = tally
    if tally.open >= market.max_orders:
        return TOO_MANY
    kind = order.kind
    if is_priced(kind) and not 0 < order.price < RUNGS:
        return BAD_PRICE
    if order.qty <= 0 and (kind != MARKET or order.quote_qty <= 0):
        return BAD_QTY
    if kind == LIMIT or kind == MARKET:  # noqa: SIM109
        return None
    if kind == LIMIT_MAKER:
        return WOULD_TAKE if crosses(market, order) else None
    return _refusal_of_stop(market, order, tally)


def _refusal_of_stop(market: Market, order: Order, tally: Tally) -> Refusal | None:
    if tally.algo >= market.instrument.max_algo_orders:
        return TOO_MANY_ALGO
    if not 0 <= order.stop_price < RUNGS or not (order.stop_price or order.trail_bps):
        return BAD_PRICE
    if not 0 <= order.trail_bps < BASIS_POINTS:
        return BAD_DELTA
    if not order.trail_bps and is_reached(order, market.last_price):
        return WOULD_TRIGGER
    return None


def crosses(market: Market, order: Order) -> bool:
    """Whether the order's price meets the best of the other side."""
    best = market.asks.best if order.side == BUY else market.bids.best
    return best is not None and best.rung + order.rung >= TOP


def reject(market: Market, order: Order, refusal: Refusal) -> None:
    """Answers a new order with no; what it brought as a hold is released."""
    code, text = refusal
    asset = market.quote_asset if order.side == BUY else market.base_asset
    market.events.append(
        OrderRejected(
            symbol_id=market.symbol_id, order_id=order.order_id, account=order.account, op="new", code=code, text=text,
            released=order.held, asset=asset,
        )
    )  # fmt: skip
    if order.order_id in market.orders:
        return
    mark_rejected(order, refusal)
    market.touched.append(order)


def mark_rejected(order: Order, refusal: Refusal) -> None:
    """Lets a new order remember that and why it was refused."""
    order.status = REJECTED
    order.code, order.text = refusal
    order.left = order.held = 0


def place(market: Market, order: Order) -> None:
    """Takes a new order in, or refuses it."""
    refusal = refusal_of(market, order)
    if refusal is None and order.held < need_now(market, order):
        refusal = POOR
    if refusal is not None:
        reject(market, order, refusal)
        return
    accept(market, order)
    if order.stage == WAITING:
        wait(market, order)
    else:
        work(market, order)


def accept(market: Market, order: Order) -> None:
    """From here on the order exists; ``wait`` or ``work`` comes next."""
    order_id = order.order_id
    market.orders[order_id] = order
    market.touched.append(order)
    tally = order.tally
    assert tally is not None
    tally.open += 1
    if order.kind >= STOP_LOSS:
        tally.algo += 1
        order.stage = WAITING
    market.events.append(TELL_ACCEPTED(symbol_id=market.symbol_id, order_id=order_id, account=order.account))


def wait(market: Market, order: Order) -> None:
    """Keeps a stop out of the book until its trigger."""
    order.visible = shown(order)
    market.priority_seq += 1
    order.priority_seq = market.priority_seq
    market.triggers.add(order, market.last_price)
    release_surplus(market, order)


def release_surplus(market: Market, order: Order) -> None:
    """Gives back what an order brought beyond its need; a list's hold is for both legs."""
    if order.oco is None or order.oco.sibling(order) is None:
        release(market, order, need_now(market, order))


def shown(order: Order) -> int:
    """The lots that the book shows of a resting order."""
    peak = order.peak
    return peak if 0 < peak < order.left else order.left


def work(market: Market, order: Order) -> None:
    """Sends an order into the book: it trades what it can, then rests or ends."""
    order.working_ms = market.now_ms
    if not order.kind & PRICED:
        _trade(market, order)
        return
    best = market.asks.best if order.side == BUY else market.bids.best
    if best is not None and best.rung + order.rung >= TOP:
        _trade(market, order)
    elif order.tif == GTC:
        rest(market, order)
    else:
        expire(market, order, EXPIRED, BY_TIME_IN_FORCE)


def rest(market: Market, order: Order) -> None:
    """Queues the order in the book behind all others of its price."""
    left, peak, price, side = order.left, order.peak, order.price, order.side
    order.visible = peak if 0 < peak < left else left
    seq = market.priority_seq + 1
    market.priority_seq = order.priority_seq = seq
    if side == BUY:
        level = market.bids.append(order, price)
        need = price * left * market.quote_unit
    else:
        level = market.asks.append(order, price)
        need = left * market.lot_size
    market.show(level)
    if order.held != need:
        release_surplus(market, order)


def _trade(market: Market, order: Order) -> None:
    if order.tif == FOK and is_priced(order.kind) and not is_fillable(market, order):
        expire(market, order, EXPIRED, BY_TIME_IN_FORCE)
        return
    end = sweep(market, order) if order.qty else sweep_quote(market, order)
    if end == SELF_TRADE:
        return
    order.updated_ms = market.now_ms
    if end == IS_FILLED or (end == NO_BUDGET and order.executed):
        close(market, order, FILLED)
        release(market, order, 0)
    elif end == NO_WORK:
        expire(market, order, EXPIRED, BY_FILLS)
    elif end == NO_HOLD:
        expire(market, order, EXPIRED, BY_HOLD)
    elif not is_priced(order.kind):
        expire(market, order, EXPIRED, BY_LIQUIDITY)
    elif order.tif == GTC:
        rest(market, order)
    else:
        expire(market, order, EXPIRED, BY_TIME_IN_FORCE)


def run_stops(market: Market, max_entries: int) -> None:
    """Lets the stops that trades have reached enter the book, oldest first, and those that they reach in turn.

    Each may make all the fills of a command, but once a command's worth of fills is made the others wait.
    """
    max_fills = market.max_fills
    fills = max_fills - market.work_left
    while True:
        if market.prints:
            _trip(market)
        if not market.pending or not max_entries or fills >= max_fills:
            return
        order = market.pending.popleft()
        if not order.is_open():
            continue
        max_entries -= 1
        order.stage = WORKING
        order.updated_ms = market.now_ms
        market.touched.append(order)
        market.work_left = max_fills
        work(market, order)
        fills += max_fills - market.work_left


def _trip(market: Market) -> None:
    prints, market.prints = market.prints, []
    for price in prints:
        for order in market.triggers.reached(price):
            if not order.is_open():
                continue
            market.priority_seq += 1
            order.priority_seq = market.priority_seq
            order.updated_ms = market.now_ms
            market.touched.append(order)
            if order.trail_bps and not order.trail_ref:
                market.triggers.follow(order, price)
            else:
                _trigger(market, order)


def _trigger(market: Market, order: Order) -> None:
    order.stage = TRIGGERED
    market.events.append(OrderTriggered(symbol_id=market.symbol_id, order_id=order.order_id, account=order.account))
    if order.oco is not None:
        win_list(market, order)
    market.pending.append(order)
