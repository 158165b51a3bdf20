"""Ticker streams: every second, for each symbol whose figures changed."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from outcry.decimals import price_text, qty_text, weighted_price
from outcry.market.candles import DAY
from outcry.roles.stream import payloads
from outcry.roles.stream.board import Board
from outcry.roles.stream.channel import Channel, Message
from outcry.roles.stream.names import DAY_WINDOW, WINDOWS
from outcry.roles.stream.payloads import Payload

Maker = Callable[[Board, int], Payload]

_MOVING: Final = frozenset(("E", "O", "C"))  # change every second without anything having happened


class Tickers:
    """Sends miniTicker, ticker, ticker_<window> and avgPrice, and the arrays of all symbols."""

    def __init__(self, channels: Mapping[str, Channel]) -> None:
        self._channels = channels
        self._sent: dict[tuple[str, int], Payload] = {}  # by suffix and symbol, without what moves by itself

    def beat(self, boards: Sequence[Board], now_ms: int) -> None:
        """A full second has passed."""
        for suffix, (make, array) in _STREAMS.items():
            every = self._channels.get(array) if array else None
            changed = []
            for board in boards:
                payload, is_new = self._one(suffix, make, board, now_ms=now_ms, wanted=every is not None)
                if payload is not None and (is_new or (every is not None and every.fresh)):
                    changed.append(payload)
            if every is not None and changed:
                every.emit(Message(changed))

    def _one(self, suffix: str, make: Maker, board: Board, *, now_ms: int, wanted: bool) -> tuple[Payload | None, bool]:
        channel = self._channels.get(f"{board.instrument.symbol.lower()}@{suffix}")
        if board.rolling is None or not board.rolling.ready or (channel is None and not wanted):
            return None, False
        payload = make(board, now_ms)
        still = {name: value for name, value in payload.items() if name not in _MOVING}
        key = (suffix, board.instrument.symbol_id)
        is_new = self._sent.get(key) != still
        self._sent[key] = still
        if channel is not None and is_new:
            channel.emit(Message(payload))
        elif channel is not None and channel.fresh:
            channel.welcome(Message(payload))
        return payload, is_new


def _mini(board: Board, now_ms: int) -> Payload:
    assert board.rolling is not None
    bar, _ = board.rolling.window(DAY, now_ms)
    return payloads.mini_ticker(board.instrument, now_ms, bar)


def _full(board: Board, now_ms: int) -> Payload:
    """The 24 hour ticker: the rolling window's fields, and the last trade and best prices beside them."""
    assert board.rolling is not None
    instrument = board.instrument
    bar, before = board.rolling.window(DAY, now_ms)
    bid, ask = board.best()
    return payloads.window_ticker(instrument, now_ms, DAY_WINDOW, bar) | {
        "e": "24hrTicker",
        "x": price_text(instrument, before),
        "Q": qty_text(instrument, board.rolling.last_qty),
        "b": price_text(instrument, bid[0]),
        "B": qty_text(instrument, bid[1]),
        "a": price_text(instrument, ask[0]),
        "A": qty_text(instrument, ask[1]),
        "O": now_ms - DAY,
    }


def _windowed(window: str) -> Maker:
    def make(board: Board, now_ms: int) -> Payload:
        assert board.rolling is not None
        bar, _ = board.rolling.window(WINDOWS[window], now_ms)
        return payloads.window_ticker(board.instrument, now_ms, window, bar)

    return make


def _average(board: Board, now_ms: int) -> Payload:
    assert board.rolling is not None
    instrument = board.instrument
    amount, volume, last = board.rolling.average(now_ms)
    price = weighted_price(instrument, amount, volume) if volume else last * instrument.tick_size
    return payloads.average_price(instrument, now_ms, price, board.rolling.last_trade_ms)


# Stream suffix: how a payload is made, and the stream of all symbols together.
_STREAMS: Final[dict[str, tuple[Maker, str]]] = {
    "miniTicker": (_mini, "!miniTicker@arr"),
    "ticker": (_full, "!ticker@arr"),
    "ticker_1h": (_windowed("1h"), "!ticker_1h@arr"),
    "ticker_4h": (_windowed("4h"), "!ticker_4h@arr"),
    "ticker_1d": (_windowed("1d"), "!ticker_1d@arr"),
    "avgPrice": (_average, ""),
}
