"""One symbol's public streams: what an engine's update turns into, at once, every 100 ms and every second."""

from collections.abc import Mapping
from typing import Final

from outcry.market.depth import DepthView
from outcry.market.instrument import Instrument
from outcry.ports import Book, MarketUpdate
from outcry.roles.stream import payloads
from outcry.roles.stream.changes import Changes
from outcry.roles.stream.channel import Channel, Message
from outcry.roles.stream.klines import KlineTape
from outcry.roles.stream.link import RESTART
from outcry.roles.stream.names import FAST_MS, SLOW_MS
from outcry.roles.stream.rolling import Rolling

MAX_BOOK_LEVELS: Final = 100_000  # levels per side that a board asks the feed for
MAX_WAITING_UPDATES: Final = 10_000  # updates kept while the book is being read; beyond, it is read again
PARTIAL_LEVELS: Final = (5, 10, 20)
EMPTY: Final = (0, 0)

Channels = Mapping[str, Channel]


class Board:
    """What the stream role knows of one symbol; it keeps only what somebody subscribed to.

    ``wants_book`` and ``rolling``, ``klines`` are filled in by the hub, which reads the feed and the ledger.
    """

    def __init__(self, instrument: Instrument, channels: Channels) -> None:
        self.instrument = instrument
        self.book: DepthView | None = None
        self.wants_book = False
        self.reading = False  # the hub is fetching the book
        self.rolling: Rolling | None = None
        self.klines: dict[str, KlineTape] = {}  # by stream name
        self.log_ms = 0
        self.broken = False  # something is missing: what was counted from trades must be read again
        self._channels = channels
        self._last_seq = 0
        self._fast = Changes()
        self._slow = Changes()
        self._waiting: list[MarketUpdate] = []
        self._best = (EMPTY, EMPTY)
        self._sent_u = {FAST_MS: 0, SLOW_MS: 0}  # update id of the last partial depth
        self._stem = instrument.symbol.lower() + "@"

    def apply(self, update: MarketUpdate) -> None:
        """Takes the next committed change of the symbol and sends what is due at once."""
        known = self._last_seq
        if known and not update.snapshot and update.last_seq <= known:
            return  # a second copy
        if known and known != (update.last_seq if update.snapshot else update.first_seq - 1):
            self._break_off()
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

    def flush_fast(self) -> None:
        """Ends a window of 100 ms."""
        window, self._fast = self._fast, Changes()
        if window.first_u:
            self._slow.absorb(window)
            self._emit(window_names(self._stem, FAST_MS), window)
        self._partial(FAST_MS)
        self._welcome()

    def flush_slow(self) -> None:
        """Ends a window of a second; the window of 100 ms has ended just before."""
        window, self._slow = self._slow, Changes()
        if window.first_u:
            self._emit(window_names(self._stem, SLOW_MS), window)
        self._partial(SLOW_MS)

    def _emit(self, names: tuple[str, ...], window: Changes) -> None:
        message: Message | None = None
        for name in names:
            channel = self._channels.get(name)
            if channel is not None:
                message = message or Message(payloads.depth_update(self.instrument, window))
                channel.emit(message)

    def _print(self, update: MarketUpdate) -> None:
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
            self._fast.add(update)
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
        self._fast, self._slow = Changes(), Changes()
        self.forget_book()
        for channel in self._channels.values():
            if channel.name.startswith(self._stem):
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

    def _welcome(self) -> None:
        """Tells the best prices to newcomers, who would wait for the next change in a quiet market."""
        channel = self._channels.get(self._stem + "bookTicker")
        if channel is not None and channel.fresh and self.book is not None:
            self._best = self.best()
            channel.emit(Message(payloads.book_ticker(self.instrument, self.book.update_id, *self._best)))

    def _partial(self, speed_ms: int) -> None:
        if self.book is None:
            return
        changed = self.book.update_id != self._sent_u[speed_ms]
        self._sent_u[speed_ms] = self.book.update_id
        for count in PARTIAL_LEVELS:
            for name in window_names(self._stem, speed_ms, count):
                channel = self._channels.get(name)
                if channel is not None and (changed or channel.fresh):
                    bids, asks = self.book.top(count)
                    channel.emit(Message(payloads.partial_depth(self.instrument, self.book.update_id, bids, asks)))


def window_names(stem: str, speed_ms: int, levels: int = 0) -> tuple[str, ...]:
    """The names under which one depth stream is known; a second is the speed that need not be named."""
    plain = f"{stem}depth{levels or ''}"
    return (f"{plain}@100ms",) if speed_ms == FAST_MS else (plain, f"{plain}@1000ms")
