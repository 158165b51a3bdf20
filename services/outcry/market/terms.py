"""The trade's vocabulary as small whole numbers, so that the core compares ints and rows store ints."""

from typing import Final

BUY: Final = 1
SELL: Final = -1

# Order types (Binance `type`).
LIMIT: Final = 1
MARKET: Final = 2
LIMIT_MAKER: Final = 3
STOP_LOSS: Final = 4
STOP_LOSS_LIMIT: Final = 5
TAKE_PROFIT: Final = 6
TAKE_PROFIT_LIMIT: Final = 7

# Time in force (FIX tag 59).
GTC: Final = 1
IOC: Final = 2
FOK: Final = 3

# Self-trade prevention modes; the taker's mode decides.
STP_NONE: Final = 0
STP_EXPIRE_TAKER: Final = 1
STP_EXPIRE_MAKER: Final = 2
STP_EXPIRE_BOTH: Final = 3
STP_DECREMENT: Final = 4

# Order status. An open order is NEW or PARTIALLY_FILLED.
NEW: Final = 1
PARTIALLY_FILLED: Final = 2
FILLED: Final = 3
CANCELED: Final = 4
REJECTED: Final = 5
EXPIRED: Final = 6
EXPIRED_IN_MATCH: Final = 7
PENDING_NEW: Final = 8

# The stages of a stop order.
NOT_A_STOP: Final = 0
WAITING: Final = 1  # resting hidden until its trigger price is reached
TRIGGERED: Final = 2  # trigger price reached, still queued to enter the book
WORKING: Final = 3  # has entered the book

# Cancel-replace modes.
STOP_ON_FAILURE: Final = 1
ALLOW_FAILURE: Final = 2

# Cancel restrictions.
CANCEL_ANY: Final = 0
CANCEL_ONLY_NEW: Final = 1
CANCEL_ONLY_PARTIALLY_FILLED: Final = 2

SIDE_NAMES: Final = {BUY: "BUY", SELL: "SELL"}
TYPE_NAMES: Final = {
    LIMIT: "LIMIT",
    MARKET: "MARKET",
    LIMIT_MAKER: "LIMIT_MAKER",
    STOP_LOSS: "STOP_LOSS",
    STOP_LOSS_LIMIT: "STOP_LOSS_LIMIT",
    TAKE_PROFIT: "TAKE_PROFIT",
    TAKE_PROFIT_LIMIT: "TAKE_PROFIT_LIMIT",
}
TIF_NAMES: Final = {GTC: "GTC", IOC: "IOC", FOK: "FOK"}
STP_NAMES: Final = {
    STP_NONE: "NONE",
    STP_EXPIRE_TAKER: "EXPIRE_TAKER",
    STP_EXPIRE_MAKER: "EXPIRE_MAKER",
    STP_EXPIRE_BOTH: "EXPIRE_BOTH",
    STP_DECREMENT: "DECREMENT",
}
STATUS_NAMES: Final = {
    NEW: "NEW",
    PARTIALLY_FILLED: "PARTIALLY_FILLED",
    FILLED: "FILLED",
    CANCELED: "CANCELED",
    REJECTED: "REJECTED",
    EXPIRED: "EXPIRED",
    EXPIRED_IN_MATCH: "EXPIRED_IN_MATCH",
    PENDING_NEW: "PENDING_NEW",
}

STOP_TYPES: Final = frozenset((STOP_LOSS, STOP_LOSS_LIMIT, TAKE_PROFIT, TAKE_PROFIT_LIMIT))
PRICED_TYPES: Final = frozenset((LIMIT, LIMIT_MAKER, STOP_LOSS_LIMIT, TAKE_PROFIT_LIMIT))

MINOR_UNITS: Final = 100_000_000  # minor units in one unit of every asset: 8 decimals
PPM: Final = 1_000_000  # fee rates and bounds are parts per million
BASIS_POINTS: Final = 10_000  # trailing deltas are basis points

WORLD_ACCOUNT: Final = 0  # the other side of every deposit and withdrawal
FEE_ACCOUNT: Final = 1  # receives every maker and taker fee
