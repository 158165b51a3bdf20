"""How an order ends: it leaves its queue, gives back its hold, and takes the other leg of its list with it."""

from typing import Final

from outcry.market.events import HoldMoved, HoldReleased, ListUpdated, OrderCanceled, OrderExpired
from outcry.market.floor import Market
from outcry.market.order import ALL_DONE, PRICED, Order, is_priced
from outcry.market.terms import (
    BUY,
    CANCELED,
    EXPIRED,
    NOT_A_STOP,
    WAITING,
)  # fmt: skip

# Why an order expired or was canceled.
BY_OWNER: Final = "owner"
BY_LIST: Final = "list"
BY_REPLACE: Final = "replace"
BY_SELF_TRADE: Final = "self_trade"

# The most frequent events under a name of this module's own, which compiled code need not look up.
TELL_CANCELED: Final = OrderCanceled
TELL_RELEASED: Final = HoldReleased


def has_exact_need(order: Order) -> bool:
    """Whether its terms say what the order can spend; a buy without a price and quoteOrderQty have a bound instead."""
    return is_priced(order.kind) if order.side == BUY else order.qty > 0


def need_now(market: Market, order: Order) -> int:
    """What an open order still needs of its hold, minor units; all of it where a bound stands for a price."""
    if order.side != BUY:
        return order.left * market.lot_size if order.qty else order.held
    if order.kind & PRICED:
        return order.price * order.left * market.quote_unit
    return order.held


def release(market: Market, order: Order, need: int) -> None:
    """Gives back what the hold has beyond ``need``."""
    spare = order.held - need
    if spare > 0:
        order.held = need
        asset = market.quote_asset if order.side == BUY else market.base_asset
        market.events.append(
            TELL_RELEASED(
                symbol_id=market.symbol_id, order_id=order.order_id, account=order.account, asset=asset, amount=spare
            )
        )


def detach(market: Market, order: Order) -> None:
    """Takes an order out of the book or from the waiting stops, whichever it is in."""
    level = order.level
    if level is None:
        return
    if order.stage == WAITING:
        market.triggers.remove(order)
        return
    level.unlink(order)
    if level.head is None:
        level.half.close(level)
    market.show(level)


def close(market: Market, order: Order, status: int) -> None:
    """Ends an order that is in no queue any more; its hold is the caller's to release."""
    order.status = status
    order.left = 0
    order.visible = 0
    order.updated_ms = market.now_ms
    market.touched.append(order)
    del market.orders[order.order_id]
    tally = order.tally
    assert tally is not None
    tally.open -= 1
    if order.stage != NOT_A_STOP:
        tally.algo -= 1
    if order.oco is not None:
        _leave_list(market, order)


def cancel(market: Market, order: Order, cancel_client_id: str) -> None:
    """Ends an open order for its owner, and the other leg of its list."""
    market.events.append(
        TELL_CANCELED(
            symbol_id=market.symbol_id, order_id=order.order_id, account=order.account, left=order.left,
            reason=BY_OWNER, cancel_client_id=cancel_client_id,
        )
    )  # fmt: skip
    if order.oco is not None:
        retire_sibling(market, order, CANCELED)
    leave(market, order, CANCELED)


def expire(market: Market, order: Order, status: int, reason: str) -> None:
    """Ends an open order for the market; ``status`` is EXPIRED or EXPIRED_IN_MATCH."""
    market.events.append(
        OrderExpired(
            symbol_id=market.symbol_id, order_id=order.order_id, account=order.account, left=order.left,
            reason=reason, in_match=status != EXPIRED,
        )
    )  # fmt: skip
    if order.oco is not None:
        retire_sibling(market, order, EXPIRED)
    leave(market, order, status)


def leave(market: Market, order: Order, status: int) -> None:
    """Takes an order out of its queue, ends it and gives back its hold."""
    if order.level is not None:
        detach(market, order)
    close(market, order, status)
    release(market, order, 0)


def retire_sibling(market: Market, order: Order, status: int) -> None:
    """Ends the other leg of the order's list, if it is open; the hold of both then stands on ``order``."""
    assert order.oco is not None
    other = order.oco.sibling(order)
    if other is None:
        return
    detach(market, other)
    if status == CANCELED:
        market.events.append(
            OrderCanceled(
                symbol_id=market.symbol_id, order_id=other.order_id, account=other.account, left=other.left,
                reason=BY_LIST,
            )
        )  # fmt: skip
    else:
        market.events.append(
            OrderExpired(
                symbol_id=market.symbol_id, order_id=other.order_id, account=other.account, left=other.left,
                reason=BY_LIST,
            )
        )  # fmt: skip
    move_hold(market, other, order, other.held)
    close(market, other, status)


def move_hold(market: Market, giver: Order, taker: Order, amount: int) -> None:
    """Lets ``amount`` of one order's hold stand on another of the same account and asset."""
    if not amount:
        return
    giver.held -= amount
    taker.held += amount
    market.touched.append(taker)
    asset = market.quote_asset if taker.side == BUY else market.base_asset
    market.events.append(
        HoldMoved(
            symbol_id=market.symbol_id, from_id=giver.order_id, to_id=taker.order_id, account=taker.account,
            asset=asset, amount=amount,
        )
    )  # fmt: skip


def win_list(market: Market, order: Order) -> None:
    """A leg trades or triggers: the other one has to go, and what only that one needed of the hold is free."""
    assert order.oco is not None
    if order.oco.sibling(order) is not None:
        retire_sibling(market, order, EXPIRED)
        release(market, order, need_now(market, order))


def _leave_list(market: Market, order: Order) -> None:
    oco = order.oco
    assert oco is not None
    oco.drop(order)
    market.register.touched_lists[oco.list_id] = oco
    if oco.status == ALL_DONE:
        market.events.append(
            ListUpdated(symbol_id=market.symbol_id, list_id=oco.list_id, account=oco.account, status=ALL_DONE)
        )
