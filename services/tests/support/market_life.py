"""Everything that can happen to a market, chosen at random: one function a kind of command, all within a few prices."""

from collections.abc import Callable
from random import Random

from outcry.market.commands import AmendOrder, CancelAll, CancelOrder, HaltMarket, OpenMarket, ReplaceOrder
from outcry.market.terms import (
    BUY,
    FOK,
    GTC,
    IOC,
    LIMIT,
    LIMIT_MAKER,
    MARKET,
    PRICED_TYPES,
    SELL,
    STOP_LOSS,
    STOP_LOSS_LIMIT,
    TAKE_PROFIT,
    TAKE_PROFIT_LIMIT,
)
from tests.support.naive_entry import LOT
from tests.support.twin_books import TwinBooks

LIMITS = (LIMIT, LIMIT, LIMIT, LIMIT_MAKER)
STOPS = (STOP_LOSS, STOP_LOSS_LIMIT, TAKE_PROFIT, TAKE_PROFIT_LIMIT)
TIFS = (GTC, GTC, GTC, GTC, IOC, FOK)
STP_MODES = (0, 0, 0, 1, 2, 3, 4)
LOW, HIGH = 90, 110

Action = Callable[[TwinBooks, Random], None]


def step(twin: TwinBooks, chance: Random) -> None:
    """One thing happens, and both books agree about it."""
    action = chance.choice(ACTIONS)
    action(twin, chance)
    if twin.naive.halted and chance.randint(0, 2) == 0:
        twin.send(OpenMarket(command_id=0, symbol_id=1))
    twin.compare()


def limit(twin: TwinBooks, chance: Random) -> None:
    twin.send(
        twin.order(
            side=_side(chance), type=chance.choice(LIMITS), tif=chance.choice(TIFS), price=_price(chance),
            qty=chance.randint(1, 30), account=_account(chance), stp=chance.choice(STP_MODES),
        )
    )  # fmt: skip


def iceberg(twin: TwinBooks, chance: Random) -> None:
    twin.send(
        twin.order(
            side=_side(chance), type=LIMIT, price=_price(chance), qty=chance.randint(2, 60),
            iceberg_qty=chance.randint(1, 9), account=_account(chance), stp=chance.choice(STP_MODES),
        )
    )  # fmt: skip


def market(twin: TwinBooks, chance: Random) -> None:
    twin.send(
        twin.order(
            purse=chance.choice((0, 500, 3000, 10_000)), side=_side(chance), type=MARKET, qty=chance.randint(1, 60),
            account=_account(chance), stp=chance.choice(STP_MODES),
        )
    )  # fmt: skip


def market_by_quote(twin: TwinBooks, chance: Random) -> None:
    side, quote = _side(chance), chance.randint(50, 5000)
    purse = quote if side == BUY else chance.randint(0, 60) * LOT
    twin.send(
        twin.order(
            purse=purse, side=side, type=MARKET, qty=0, quote_qty=quote, account=_account(chance),
            stp=chance.choice(STP_MODES),
        )
    )  # fmt: skip


def stop(twin: TwinBooks, chance: Random) -> None:
    kind = chance.choice(STOPS)
    twin.send(
        twin.order(
            side=_side(chance), type=kind, tif=chance.choice(TIFS), stop_price=_price(chance),
            price=_price(chance) if kind in PRICED_TYPES else 0, qty=chance.randint(1, 30), account=_account(chance),
            stp=chance.choice(STP_MODES),
        )
    )  # fmt: skip


def trailing(twin: TwinBooks, chance: Random) -> None:
    kind = chance.choice(STOPS)
    twin.send(
        twin.order(
            side=_side(chance), type=kind, stop_price=chance.choice((0, 0, _price(chance))),
            trail_bps=chance.choice((1, 100, 150, 300, 500, 1000)),
            price=_price(chance) if kind in PRICED_TYPES else 0, qty=chance.randint(1, 30), account=_account(chance),
        )
    )  # fmt: skip


def oco(twin: TwinBooks, chance: Random) -> None:
    """The stop leg is on a side of the limit leg that makes sense, most of the time."""
    side, qty, account = _side(chance), chance.randint(1, 30), _account(chance)
    base = twin.naive.last or 100
    near, far = base - side * chance.randint(-1, 6), base + side * chance.randint(-1, 6)
    kind = chance.choice((STOP_LOSS, STOP_LOSS_LIMIT, STOP_LOSS_LIMIT, TAKE_PROFIT))
    one = twin.order(purse=0, side=side, type=chance.choice(LIMITS), price=near, qty=qty, account=account)
    two = twin.order(
        purse=0, side=side, type=kind, stop_price=far, price=far + side if kind in PRICED_TYPES else 0, qty=qty,
        trail_bps=chance.choice((0, 0, 200)), account=account,
    )  # fmt: skip
    above, below = (one, two) if chance.randint(0, 1) else (two, one)
    held = qty * LOT if side == SELL else qty * max(near, (far + 1) * 21 // 20 + 1)
    twin.send_list(above, below, held - chance.choice((0, 0, 0, 0, held // 2)))


def cancel(twin: TwinBooks, chance: Random) -> None:
    order_id = _target(twin, chance)
    account = chance.choice((twin.owner(order_id), twin.owner(order_id), twin.owner(order_id), _account(chance)))
    twin.send(
        CancelOrder(
            command_id=0, symbol_id=1, account=account, order_id=order_id, target_valid_until_ms=0,
            restriction=chance.choice((0, 0, 0, 1, 2)),
        )
    )  # fmt: skip


def cancel_all(twin: TwinBooks, chance: Random) -> None:
    targets = tuple((_target(twin, chance), 0) for _ in range(chance.randint(0, 4)))
    twin.send(CancelAll(command_id=0, symbol_id=1, account=_account(chance), targets=targets))


def replace(twin: TwinBooks, chance: Random) -> None:
    order_id = _target(twin, chance)
    side, price, qty, account = _side(chance), _price(chance), chance.randint(1, 30), twin.owner(order_id)
    purse = (price * qty if side == BUY else qty * LOT) * chance.randint(0, 4) // 4
    kind = chance.choice((LIMIT, LIMIT, MARKET))
    new = twin.order(
        purse=purse, side=side, type=kind, price=price if kind == LIMIT else 0, qty=qty, account=account, exact=False
    )
    needs = (0, price * qty if side == BUY else qty * LOT)
    twin.send(
        ReplaceOrder(
            command_id=0, symbol_id=1, account=account, order_id=order_id, target_valid_until_ms=0, new=new,
            mode=chance.choice((1, 2)), restriction=chance.choice((0, 0, 0, 1, 2)), need=chance.choice(needs),
        )
    )  # fmt: skip


def amend(twin: TwinBooks, chance: Random) -> None:
    order_id = _target(twin, chance)
    order = twin.pit.find(order_id)
    qty = chance.randint(1, order.qty + 1 if order else 30)
    twin.send(AmendOrder(command_id=0, symbol_id=1, account=twin.owner(order_id), order_id=order_id, qty=qty))


def halt(twin: TwinBooks, chance: Random) -> None:
    if chance.randint(0, 3) == 0:
        twin.send(HaltMarket(command_id=0, symbol_id=1))


def restart(twin: TwinBooks, chance: Random) -> None:
    twin.restart()


ACTIONS: tuple[Action, ...] = (
    limit, limit, limit, limit, limit, limit, iceberg, iceberg, iceberg, market, market_by_quote, stop, stop, stop,
    trailing, trailing, oco, oco, cancel, cancel_all, replace, replace, amend, amend, halt, restart,
)  # fmt: skip


def _side(chance: Random) -> int:
    return chance.choice((BUY, SELL))


def _price(chance: Random) -> int:
    return chance.randint(LOW, HIGH)


def _account(chance: Random) -> int:
    return chance.randint(1, 3)


def _target(twin: TwinBooks, chance: Random) -> int:
    """An open order, or now and then any id."""
    open_ids = [entry.id for entry in twin.naive.entries]
    if not open_ids or chance.randint(0, 7) == 0:
        return chance.randint(0, twin.last_id + 1)
    return chance.choice(open_ids)
