"""One symbol's public streams: what an engine's update turns into, at once and at the ends of windows."""

from collections.abc import Iterable, Mapping
from typing import Final

from outcry.market.depth import DepthView
from outcry.market.instrument import Instrument
from outcry.ports import WINDOWS_MS, Book, Cut, MarketUpdate
from outcry.roles.stream import payloads
from outcry.roles.stream.changes import Changes
from outcry.roles.stream.channel import Channel, Message
from outcry.roles.stream.klines import KlineTape
from outcry.roles.stream.link import RESTART
from outcry.roles.stream.names import FAST_MS
from outcry.roles.stream.rolling import Rolling
from outcry.roles.stream.tapes import DepthTape, TradeTape

MAX_BOOK_LEVELS: Final = 100_000  # levels per side that a board asks the feed for
MAX_WAITING_UPDATES: Final = 10_000  # updates kept while the book is being read; beyond, it is read again
PARTIAL_LEVELS: Final = (5, 10, 20)
EMPTY: Final = (0, 0)

Channels = Mapping[str, Channel]


class Board:
    """What the stream role knows of one symbol; it keeps only what somebody subscribed to.

    ``wants_book`` and ``rolling``, ``klines`` are filled in by the hub, which reads the feed and the ledger.
    ``epoch`` is that of the native tapes as long as the feed names none.
    """

    def __init__(self, instrument: Instrument, channels: Channels, epoch: int = 0) -> None:
        self.instrument = instrument
        self.depth = DepthTape(instrument)
        self.trades = TradeTape(instrument)
        self._begin_tapes(epoch)
        self.book: DepthView | None = None
        self.wants_book = False
        self.reading = False  # the hub is fetching the book
        self.rolling: Rolling | None = None
        self.klines: dict[str, KlineTape] = {}  # by stream name
        self.log_ms = 0
        self.broken = False  # something is missing: what was counted from trades must be read again
        self._channels = channels
        self._last_seq: int | None = None  # nothing is known yet
        self._windows = {window_ms: Changes() for window_ms in WINDOWS_MS}
        self._waiting: list[MarketUpdate] = []
        self._best = (EMPTY, EMPTY)
        self._stem = instrument.symbol.lower() + "@"

    def apply(self, update: MarketUpdate) -> None:
        """Takes the next committed change of the symbol and sends what is due at once."""
        known = self._last_seq
        if known is not None:
            if not update.snapshot and update.last_seq <= known:
                return  # a second copy
            if known != (update.last_seq if update.snapshot else update.first_seq - 1):
                self._break_off()
        if update.feed_epoch and update.feed_epoch != self.depth.epoch:
            self._begin_tapes(update.feed_epoch)
        self._last_seq = update.last_seq
        self.log_ms = max(self.log_ms, update.time_ms)
        if update.trades:
            self._print(update)
        self._change(update)

    def take_book(self, book: Book) -> None:
        """Starts from the book as the feed has it; updates that came meanwhile are applied behind it."""
        levels = [(1, price, lots) for price, lots in book.bids] + [(-1, price, lots) for price, lots in book.asks]
        self.book = DepthView()
        self.book.replace(levels, book.update_id)
        waiting, self._waiting = self._waiting, []
        for update in waiting:
            self._advance_book(update)

    def forget_book(self) -> None:
        """Nobody needs the book any longer, or it has a gap and must be read again."""
        self.book = None
        self._waiting.clear()

    def cut(self, cut: Cut) -> None:
        """Ends a window where the engine's side says, so that every process sends the same message.

        The first window may have begun before this process listened: it is not sent, and who waited starts again.
        """
        window, names = self._windows[cut.window_ms], window_names(self._stem, cut.window_ms)
        if window.last_u != cut.last_u:
            return
        self._windows[cut.window_ms] = Changes()
        whole = window.first_u <= cut.first_u
        if whole:
            self._emit(names, window)
        else:
            self._restart(names)
        if cut.window_ms == FAST_MS:
            if whole:
                self.depth.cut(window)
            self.depth.serve(self.book)
        self._partial(cut.window_ms)

    def welcome(self) -> None:
        """Tells newcomers the best prices and levels: they would wait for the next change in a quiet market."""
        if self.book is None:
            return
        if not self._windows[FAST_MS].first_u:
            self.depth.serve(self.book)
        channel = self._channels.get(self._stem + "bookTicker")
        if channel is not None and channel.fresh:
            channel.welcome(Message(payloads.book_ticker(self.instrument, self.book.update_id, *self.best())))
        for window_ms in WINDOWS_MS:
            for count in PARTIAL_LEVELS:
                for name in window_names(self._stem, window_ms, count):
                    channel = self._channels.get(name)
                    if channel is not None and channel.fresh:
                        channel.welcome(self._top(count))

    def _emit(self, names: tuple[str, ...], window: Changes) -> None:
        message: Message | None = None
        for name in names:
            channel = self._channels.get(name)
            if channel is not None:
                message = message or Message(payloads.depth_update(self.instrument, window))
                channel.emit(message)

    def _print(self, update: MarketUpdate) -> None:
        self.trades.print(update.trades)
        if self.rolling is not None:
            self.rolling.count(update.trades)
        for tape in self.klines.values():
            tape.count(update.trades)
        channel = self._channels.get(self._stem + "trade")
        if channel is not None:
            for trade in update.trades:
                channel.emit(Message(payloads.trade(self.instrument, update.time_ms, trade)))
        channel = self._channels.get(self._stem + "aggTrade")
        if channel is not None:
            for group in payloads.aggregates(update.trades):
                channel.emit(Message(payloads.aggregate(self.instrument, update.time_ms, group)))

    def _change(self, update: MarketUpdate) -> None:
        moved = update.first_u <= update.last_u
        if moved and not update.snapshot:
            for window in self._windows.values():
                window.add(update)
        if not self.wants_book:
            return
        if update.snapshot:
            self.book = DepthView()
            self.book.replace(update.levels, update.last_u)
            self._waiting.clear()
        elif moved:
            self._advance_book(update)
        self._tell_best()

    def _break_off(self) -> None:
        """Messages are missing: the symbol's clients are closed and start again, as the depth procedure says."""
        self.broken = True
        self._windows = {window_ms: Changes() for window_ms in WINDOWS_MS}
        self.forget_book()
        self._begin_tapes(self.depth.epoch)
        self._restart([name for name in self._channels if name.startswith(self._stem)])

    def _begin_tapes(self, epoch: int) -> None:
        self.depth.begin(epoch)
        self.trades.begin(epoch)

    def _restart(self, names: Iterable[str]) -> None:
        for channel in filter(None, map(self._channels.get, names)):
            for subscriber in channel.subscribers():
                subscriber.close(RESTART, "messages are missing; start again from a snapshot")

    def _advance_book(self, update: MarketUpdate) -> None:
        if self.book is None:
            if len(self._waiting) >= MAX_WAITING_UPDATES:
                self._waiting.clear()
            self._waiting.append(update)
        elif update.first_u > self.book.update_id + 1:
            self.forget_book()
        elif update.last_u > self.book.update_id:
            self.book.apply(update.levels, update.last_u)

    def best(self) -> tuple[payloads.Level, payloads.Level]:
        """The best bid and ask; (0, 0) for an empty side."""
        if self.book is None:
            return self._best
        bids, asks = self.book.top(1)
        return (bids[0] if bids else EMPTY), (asks[0] if asks else EMPTY)

    def _tell_best(self) -> None:
        best = self.best()
        if self.book is None or best == self._best:
            return
        self._best = best
        message: Message | None = None
        for name in (self._stem + "bookTicker", "!bookTicker"):
            channel = self._channels.get(name)
            if channel is not None:
                message = message or Message(payloads.book_ticker(self.instrument, self.book.update_id, *best))
                channel.emit(message)

    def _partial(self, window_ms: int) -> None:
        if self.book is None:
            return
        for count in PARTIAL_LEVELS:
            wanted = [self._channels.get(name) for name in window_names(self._stem, window_ms, count)]
            if any(wanted):
                message = self._top(count)
                for channel in filter(None, wanted):
                    channel.emit(message)

    def _top(self, count: int) -> Message:
        assert self.book is not None
        bids, asks = self.book.top(count)
        return Message(payloads.partial_depth(self.instrument, self.book.update_id, bids, asks))


def window_names(stem: str, speed_ms: int, levels: int = 0) -> tuple[str, ...]:
    """The names under which one depth stream is known; a second is the speed that need not be named."""
    plain = f"{stem}depth{levels or ''}"
    return (f"{plain}@100ms",) if speed_ms == FAST_MS else (plain, f"{plain}@1000ms")
