"""The hub of all public streams: takes committed updates from the feed, keeps the beat, serves the subscribers."""

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from typing import Any, Final

from outcry.market.candles import DAY, MINUTE, source_of
from outcry.market.instrument import Instrument
from outcry.ports import Cut, MarketUpdate, OutOfService
from outcry.roles.api.venue import Venue
from outcry.roles.stream.board import MAX_BOOK_LEVELS, Board
from outcry.roles.stream.channel import Channel, Message, Subscriber
from outcry.roles.stream.klines import KlineTape
from outcry.roles.stream.names import EVERY_SYMBOL, FAST_MS, SLOW_MS, StreamName
from outcry.roles.stream.rolling import DAY_MINUTES, Rolling
from outcry.roles.stream.tapes import DEPTH, TRADES, Follower, Tape, Told
from outcry.roles.stream.tickers import Tickers

RETRY_SECONDS: Final = 0.5  # between two attempts to read what a stream begins from
HEARTBEAT_MS: Final = 5_000  # of native channels
SILENCE_MS: Final = 500  # between two looks whether the engine is silent
MAX_LATE_BEATS: Final = 10  # beats made up for after a stall; more are left out

_BOOK_KINDS: Final = frozenset(("book", "bookTicker", "ticker"))
_ROLLING_KINDS: Final = frozenset(("ticker", "miniTicker", "avgPrice"))

log = logging.getLogger(__name__)


class Hub:
    """One per process. ``start`` subscribes to the feed, ``supervise`` beats until it is canceled."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self.channels: dict[str, Channel] = {}
        self._boards: dict[int, Board] = {}
        self._tickers = Tickers(self.channels)
        self._reads: dict[object, asyncio.Task[None]] = {}
        self._epoch = venue.clock.now_ms()  # of native channels, where the feed has none that outlives the process
        self._started = False

    def start(self) -> None:
        """Begins to listen; call it before the engine starts, so that nothing is missed."""
        if not self._started:
            self._started = True
            self.venue.feed.on_update(self.update)
            self.venue.feed.on_cut(self.cut)

    def subscribe(self, stream: StreamName, subscriber: Subscriber, dialect: int) -> None:
        """From now on the subscriber gets every message of the stream."""
        channel = self.channels.get(stream.name)
        if channel is None:
            channel = self.channels[stream.name] = Channel(stream, self.venue.telemetry.deliveries)
        channel.add(subscriber, dialect)
        for instrument in self._instruments_of(stream):
            self._prepare(self._board(instrument), stream)

    def unsubscribe(self, stream: StreamName, subscriber: Subscriber, dialect: int) -> None:
        """The subscriber wants no more of it; what nobody needs any longer is forgotten."""
        channel = self.channels.get(stream.name)
        if channel is None:
            return
        channel.remove(subscriber, dialect)
        if len(channel):
            return
        del self.channels[stream.name]
        for board in self._boards.values():
            self._release(board, stream)

    def tape(self, name: str) -> Tape | None:
        """The native channel of a name like ``depth:BTCUSD``."""
        kind, _, symbol = name.partition(":")
        instrument = self.venue.instruments.get(symbol)
        if instrument is None or kind not in (DEPTH, TRADES):
            return None
        board = self._board(instrument)
        tape = board.depth if kind == DEPTH else board.trades
        tape.mark(stale=self._is_stale(board))
        return tape

    def follow(self, tape: Tape, follower: Follower, recovered: Sequence[Told] | None) -> None:
        """From now on the follower gets every message of the native channel."""
        tape.follow(follower, recovered)
        if tape.kind == DEPTH:
            self._want_book(self._board(tape.instrument))

    def leave(self, tape: Tape, follower: Follower) -> None:
        """It wants no more of it."""
        tape.leave(follower)
        self._forget_unwanted(self._board(tape.instrument))

    def update(self, update: MarketUpdate) -> None:
        """The feed's callback."""
        instrument = self.venue.instruments_by_id.get(update.symbol_id)
        if instrument is not None:
            board = self._board(instrument)
            board.apply(update)
            if board.broken:
                self._begin_again(board)
            elif board.wants_book and board.book is None:
                self._read(("book", board.instrument.symbol_id), self._read_book(board))

    def cut(self, cut: Cut) -> None:
        """The feed's callback: a window has ended."""
        board = self._boards.get(cut.symbol_id)
        if board is not None:
            board.cut(cut)

    async def supervise(self) -> None:
        """Beats every 100 ms of the wall clock; a beat that fails is logged and the next one comes all the same."""
        self.start()
        beat = self.venue.clock.now_ms() // FAST_MS + 1
        while True:
            # A clock that was set back stands still: beats go on without it, and not far from it.
            now_ms = self.venue.clock.now_ms()
            beat = beat if beat * FAST_MS <= now_ms + SLOW_MS else now_ms // FAST_MS
            await asyncio.sleep(min(max(beat * FAST_MS - now_ms, 0), FAST_MS) / 1000)
            beat = max(beat, self.venue.clock.now_ms() // FAST_MS - MAX_LATE_BEATS)
            try:
                self.beat(beat * FAST_MS)
            except Exception:
                log.exception("A beat of the market streams failed.")
            beat += 1

    def beat(self, now_ms: int) -> None:
        """Does what is due at ``now_ms``, a multiple of 100."""
        for board in self._boards.values():
            board.welcome()
            self._close_klines(board, now_ms)
        if now_ms % SILENCE_MS == 0:
            for board in self._boards.values():
                self._beat_tapes(board, now_ms)
        if now_ms % SLOW_MS == 0:
            for board in self._boards.values():
                self._tell_klines(board, now_ms)
            self._tickers.beat(list(self._boards.values()), now_ms)

    def close(self) -> None:
        """Gives up what is still being read."""
        for task in self._reads.values():
            task.cancel()

    def _board(self, instrument: Instrument) -> Board:
        board = self._boards.get(instrument.symbol_id)
        if board is None:
            board = self._boards[instrument.symbol_id] = Board(instrument, self.channels, self._epoch)
            for channel in self.channels.values():
                if instrument in self._instruments_of(channel.stream):
                    self._prepare(board, channel.stream)
        board.instrument = instrument
        return board

    def _instruments_of(self, stream: StreamName) -> list[Instrument]:
        if stream.symbol == EVERY_SYMBOL:
            return list(self.venue.instruments.values())
        instrument = self.venue.instruments.get(stream.symbol.upper())
        return [] if instrument is None else [instrument]

    def _prepare(self, board: Board, stream: StreamName) -> None:
        """Begins to keep what a stream needs."""
        symbol_id = board.instrument.symbol_id
        if stream.kind in _BOOK_KINDS:
            self._want_book(board)
        if stream.kind in _ROLLING_KINDS and board.rolling is None:
            board.rolling = Rolling()
            self._read(("rolling", symbol_id), self._read_rolling(board, board.rolling))
        if stream.kind == "kline" and stream.name not in board.klines:
            tape = board.klines[stream.name] = KlineTape(stream.interval, stream.shift_ms)
            self._read(tape, self._read_kline(board, tape))

    def _want_book(self, board: Board) -> None:
        if not board.wants_book:
            board.wants_book = True
            self._read(("book", board.instrument.symbol_id), self._read_book(board))

    def _is_stale(self, board: Board) -> bool:
        instrument = board.instrument
        return instrument.partition in self.venue.halted or self.venue.feed.is_stale(instrument.symbol_id)

    def _beat_tapes(self, board: Board, now_ms: int) -> None:
        for tape in (board.depth, board.trades):
            if tape.followed:
                tape.mark(stale=self._is_stale(board))
                if now_ms % HEARTBEAT_MS == 0:
                    tape.beat()

    def _begin_again(self, board: Board) -> None:
        """Reads all that is kept of a symbol anew."""
        board.broken = False
        board.rolling, board.wants_book = None, False
        board.klines.clear()
        for channel in self.channels.values():
            if board.instrument in self._instruments_of(channel.stream):
                self._prepare(board, channel.stream)
        if board.depth.followed:
            self._want_book(board)

    def _release(self, board: Board, stream: StreamName) -> None:
        board.klines.pop(stream.name, None)
        self._forget_unwanted(board)

    def _forget_unwanted(self, board: Board) -> None:
        symbol = board.instrument.symbol.lower()
        kinds = {c.stream.kind for c in self.channels.values() if c.stream.symbol in (symbol, EVERY_SYMBOL)}
        if not kinds & _BOOK_KINDS and not board.depth.followed:
            board.wants_book = False
            board.forget_book()
        if not kinds & _ROLLING_KINDS:
            board.rolling = None

    def _read(self, key: object, reading: Coroutine[Any, Any, None]) -> None:
        if key in self._reads:
            reading.close()
            return
        task = self._reads[key] = asyncio.create_task(reading)
        task.add_done_callback(lambda _: self._reads.pop(key, None))

    async def _read_book(self, board: Board) -> None:
        while board.wants_book and board.book is None:
            book = await self.venue.feed.book(board.instrument.symbol_id, MAX_BOOK_LEVELS)
            if book is None:
                await asyncio.sleep(RETRY_SECONDS)
            elif board.book is None:
                board.take_book(book)

    async def _read_kline(self, board: Board, tape: KlineTape) -> None:
        symbol_id, ledger = board.instrument.symbol_id, self.venue.ledger
        while not tape.ready:
            try:
                now_ms = self.venue.clock.now_ms()
                newest = await ledger.candles(symbol_id, MINUTE, limit=1)
                price = newest[-1].close if newest else 0
                source, start_ms = source_of(tape.length_ms, tape.shift_ms), tape.opens(now_ms)
                if source:
                    tape.begin(now_ms, price, await ledger.candles(symbol_id, source, start_ms=start_ms, limit=1500))
                else:
                    tape.begin(now_ms, price, await ledger.trades(symbol_id, start_ms=start_ms, limit=1000))
            except OutOfService:
                await asyncio.sleep(RETRY_SECONDS)

    async def _read_rolling(self, board: Board, rolling: Rolling) -> None:
        symbol_id, ledger = board.instrument.symbol_id, self.venue.ledger
        while not rolling.ready:
            try:
                start_ms = (self.venue.clock.now_ms() - DAY) // MINUTE * MINUTE
                before = await ledger.candles(symbol_id, MINUTE, end_ms=start_ms - 1, limit=1)
                last = await ledger.trades(symbol_id, limit=1)
                rows = await ledger.candles(symbol_id, MINUTE, start_ms=start_ms, limit=DAY_MINUTES + 2)
                trade = (last[-1].time_ms, last[-1].qty) if last else (0, 0)
                rolling.begin(before[-1].close if before else 0, rows, trade)
            except OutOfService:
                await asyncio.sleep(RETRY_SECONDS)

    def _close_klines(self, board: Board, now_ms: int) -> None:
        for name, tape in board.klines.items():
            for payload in tape.closed(board.instrument, board.log_ms, now_ms):
                self.channels[name].emit(Message(payload))

    def _tell_klines(self, board: Board, now_ms: int) -> None:
        for name, tape in board.klines.items():
            if tape.due(now_ms):
                self.channels[name].emit(Message(tape.current(board.instrument, now_ms)))
