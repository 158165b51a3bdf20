"""Stream names: what ``btcusd@depth20@100ms`` asks for.

Source: Binance ``web-socket-streams.md``, one heading per kind of stream.
"""

import re
from typing import Final, NamedTuple

from outcry.market.candles import HOUR, INTERVALS, MINUTE

MAX_NAME_LENGTH: Final = 128  # characters; a longer one is no stream of ours
EVERY_SYMBOL: Final = "!"

FAST_MS: Final = 100
SLOW_MS: Final = 1000
WINDOWS: Final = {"1h": HOUR, "4h": 4 * HOUR, "1d": 24 * HOUR}
DAY_WINDOW: Final = "24h"

_SYMBOL = re.compile(r"[a-z0-9]{1,40}", re.ASCII)
_DEPTH = re.compile(r"depth(5|10|20)?(?:@(100|1000)ms)?", re.ASCII)
_KLINE = re.compile(r"kline_([0-9]{1,2}[smhdwM])(?:@([+-])([0-9]{2}):([0-9]{2}))?", re.ASCII)
_TICKER = re.compile(r"ticker_(1h|4h|1d)", re.ASCII)
_PLAIN: Final = frozenset(("trade", "aggTrade", "bookTicker", "miniTicker", "ticker", "avgPrice"))
_OF_ALL: Final = frozenset(("!miniTicker@arr", "!ticker@arr", "!ticker_1h@arr", "!ticker_4h@arr", "!ticker_1d@arr"))


class StreamName(NamedTuple):
    """A stream name taken apart.

    ``symbol`` is lower case, or ``!`` for every symbol. ``kind`` is the part behind it without its options:
    trade, aggTrade, depth, book (partial depth), bookTicker, kline, miniTicker, ticker, avgPrice.
    """

    name: str
    symbol: str
    kind: str
    levels: int = 0  # of a partial depth
    speed_ms: int = 0  # of a depth
    interval: str = ""  # of a kline
    shift_ms: int = 0  # distance of a kline's time zone from UTC
    window: str = ""  # of a ticker: 24h, 1h, 4h, 1d


def parse(name: str) -> StreamName | None:
    """The stream that a name asks for, or None where no such stream exists (Binance accepts it in silence)."""
    if len(name) > MAX_NAME_LENGTH:
        return None
    if name.startswith(EVERY_SYMBOL):
        return _of_every_symbol(name)
    symbol, at, kind = name.partition("@")
    if not at or not _SYMBOL.fullmatch(symbol):
        return None
    if kind in _PLAIN:
        window = DAY_WINDOW if kind in ("ticker", "miniTicker") else ""
        return StreamName(name, symbol, kind, window=window)
    return _depth(name, symbol, kind) or _kline(name, symbol, kind) or _ticker(name, symbol, kind)


def _of_every_symbol(name: str) -> StreamName | None:
    if name == "!bookTicker":
        return StreamName(name, EVERY_SYMBOL, "bookTicker")
    if name not in _OF_ALL:
        return None
    kind, _, window = name[1:].removesuffix("@arr").partition("_")
    return StreamName(name, EVERY_SYMBOL, kind, window=window or DAY_WINDOW)


def _depth(name: str, symbol: str, kind: str) -> StreamName | None:
    match = _DEPTH.fullmatch(kind)
    if match is None:
        return None
    levels, speed = int(match[1] or 0), int(match[2] or SLOW_MS)
    return StreamName(name, symbol, "book" if levels else "depth", levels=levels, speed_ms=speed)


def _kline(name: str, symbol: str, kind: str) -> StreamName | None:
    match = _KLINE.fullmatch(kind)
    if match is None or match[1] not in INTERVALS:
        return None
    shift_ms = 0
    if match[2]:
        hours, minutes = int(match[3]), int(match[4])
        if hours > 14 or minutes > 59:
            return None
        shift_ms = (hours * HOUR + minutes * MINUTE) * (-1 if match[2] == "-" else 1)
    return StreamName(name, symbol, "kline", interval=match[1], shift_ms=shift_ms)


def _ticker(name: str, symbol: str, kind: str) -> StreamName | None:
    match = _TICKER.fullmatch(kind)
    return None if match is None else StreamName(name, symbol, "ticker", window=match[1])
