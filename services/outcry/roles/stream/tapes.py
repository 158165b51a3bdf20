"""Native channels of one symbol: depth and trades with an epoch and a dense sequence, the same bytes for all followers.

A depth message is a window of 100 ms, and its ``seq`` the last update id; of trades, ``seq`` is the last trade id. Both
number on through failovers, so a follower resumes where it was on any process whose ring still has what it lacks.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from outcry.decimals import money_text, price_text, qty_text
from outcry.market.depth import DepthView
from outcry.market.instrument import Instrument
from outcry.market.terms import SELL
from outcry.roles.stream.changes import Changes
from outcry.roles.stream.channel import encode
from outcry.roles.stream.frames import text_frame
from outcry.roles.stream.link import LAG_BYTES, RESTART
from outcry.roles.stream.payloads import depth_sides, levels
from outcry.rows import TradeRow

RING: Final = 1_000  # messages that a tape remembers
MAX_RESUMED: Final = 300  # messages that a follower may lack; with more it begins anew
SNAPSHOT_LEVELS: Final = 5_000  # of each side
DEPTH: Final = "depth"
TRADES: Final = "trades"

Json = dict[str, Any]


class Follower(Protocol):
    """A client's socket: takes whole frames without waiting, and knows what it could not send yet."""

    def push(self, frame: bytes) -> None: ...
    def close(self, code: int, reason: str) -> None: ...
    @property
    def waiting_bytes(self) -> int: ...


class Told:
    """One message of a tape, from ``first`` to ``last`` seq; encoded once, when the first follower needs it."""

    __slots__ = ("_frame", "_make", "first", "last")

    def __init__(self, first: int, last: int, make: Callable[[], Json]) -> None:
        self.first = first
        self.last = last
        self._make: Callable[[], Json] | None = make
        self._frame = b""

    def frame(self) -> bytes:
        """The message as all followers get it."""
        if self._make is not None:
            self._frame, self._make = text_frame(encode(self._make())), None
        return self._frame


class Tape:
    """One channel: what was told lately, and who follows it. ``seq`` is 0 as long as nothing is known."""

    kind = ""

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.name = f"{self.kind}:{instrument.symbol}"
        self.epoch = 0
        self.seq = 0
        self.stale = False
        self.live: dict[Follower, None] = {}
        self._ring: deque[Told] = deque(maxlen=RING)

    @property
    def followed(self) -> bool:
        return bool(self.live)

    def since(self, epoch: int, seq: int) -> list[Told] | None:
        """What a follower lacks that knows all up to ``seq``; None when that cannot be told from here."""
        if epoch != self.epoch or not self.seq or seq > self.seq:
            return None
        lacking: list[Told] = []
        expected = self.seq
        for told in reversed(self._ring):
            if expected <= seq or len(lacking) > MAX_RESUMED:
                break
            lacking.append(told)
            expected = told.first - 1
        if expected != seq or len(lacking) > MAX_RESUMED:
            return None
        return lacking[::-1]

    def follow(self, follower: Follower, recovered: Sequence[Told] | None) -> None:
        """From now on the follower gets every message, those first that it lacks."""
        for told in recovered or ():
            follower.push(told.frame())
        self.live[follower] = None

    def leave(self, follower: Follower) -> None:
        self.live.pop(follower, None)

    def followers(self) -> list[Follower]:
        return list(self.live)

    def beat(self) -> None:
        """Tells where the channel stands, so that who has missed the last message of a quiet market sees it."""
        self._tell(list(self.live), {"type": "heartbeat"})

    def mark(self, *, stale: bool) -> None:
        """Tells followers when the engine falls silent, and when it is heard again."""
        if stale != self.stale:
            self.stale = stale
            self._tell(self.followers(), {"type": "stale", "stale": stale})

    def begin(self, epoch: int) -> None:
        """What was told before does not lead to what comes now."""
        self.epoch = epoch
        self.seq = 0
        self._ring.clear()

    def head(self, kind: str) -> Json:
        """How every message begins."""
        return {"channel": self.name, "type": kind, "epoch": self.epoch}

    def _remember(self, told: Told) -> None:
        self.seq = told.last
        self._ring.append(told)

    def _tell(self, followers: Sequence[Follower], message: Json) -> None:
        if followers:
            frame = text_frame(encode({**self.head(message["type"]), "seq": self.seq, **message}))
            for follower in followers:
                follower.push(frame)


class TradeTape(Tape):
    """``trades:<SYMBOL>``: nothing is left out; a follower that cannot keep up is closed by its link."""

    kind = TRADES

    def print(self, rows: Sequence[TradeRow]) -> None:
        """Tells the trades of one update."""
        if self.seq and rows[0].trade_id != self.seq + 1:
            self.begin(self.epoch)
        told = trades_told(self, rows)
        self._remember(told)
        for follower in self.live:
            follower.push(told.frame())

    def begin(self, epoch: int) -> None:
        """No snapshot could make up for trades that were not told: who followed starts again."""
        known = self.seq
        super().begin(epoch)
        for follower in self.followers() if known else ():
            follower.close(RESTART, "messages are missing; start again")


def trades_told(tape: TradeTape, rows: Sequence[TradeRow]) -> Told:
    """One message of trades that follow each other."""
    instrument, first, last = tape.instrument, rows[0].trade_id, rows[-1].trade_id
    head = tape.head(TRADES)

    def make() -> Json:
        return {**head, "first": first, "seq": last, "trades": [_trade(instrument, row) for row in rows]}

    return Told(first, last, make)


def _trade(instrument: Instrument, row: TradeRow) -> Json:
    return {
        "id": row.trade_id,
        "price": price_text(instrument, row.price),
        "qty": qty_text(instrument, row.qty),
        "quoteQty": money_text(row.amount),
        "time": row.time_ms,
        "isBuyerMaker": row.taker_side == SELL,
    }


class DepthTape(Tape):
    """``depth:<SYMBOL>``: who lags is skipped, and gets the snapshot that all laggards share once it has caught up.

    Newcomers wait for it, too: it is made where a window ends, so that the next message follows on it.
    """

    kind = DEPTH

    def __init__(self, instrument: Instrument) -> None:
        super().__init__(instrument)
        self.waiting: dict[Follower, None] = {}

    @property
    def followed(self) -> bool:
        return bool(self.live or self.waiting)

    def followers(self) -> list[Follower]:
        return [*self.live, *self.waiting]

    def follow(self, follower: Follower, recovered: Sequence[Told] | None) -> None:
        """One that cannot resume waits for a snapshot."""
        if recovered is None:
            self.waiting[follower] = None
        else:
            super().follow(follower, recovered)

    def leave(self, follower: Follower) -> None:
        super().leave(follower)
        self.waiting.pop(follower, None)

    def begin(self, epoch: int) -> None:
        """A snapshot makes up for what was not told."""
        super().begin(epoch)
        self.waiting |= self.live
        self.live.clear()

    def cut(self, window: Changes) -> None:
        """Tells a window that has ended."""
        if self.seq and window.first_u != self.seq + 1:
            self.begin(self.epoch)
        instrument, head = self.instrument, self.head(DEPTH)

        def make() -> Json:
            bids, asks = depth_sides(instrument, window)
            ends = {"first": window.first_u, "seq": window.last_u, "time": window.time_ms}
            return {**head, **ends, "bids": bids, "asks": asks}

        told = Told(window.first_u, window.last_u, make)
        self._remember(told)
        for follower in list(self.live):
            if follower.waiting_bytes > LAG_BYTES:
                del self.live[follower]
                self.waiting[follower] = None
            else:
                follower.push(told.frame())

    def serve(self, book: DepthView | None) -> None:
        """Gives the snapshot to who waits for it; call it only where a window has ended and no other has begun."""
        if book is None or (self.seq and self.seq != book.update_id):
            return
        self.seq = book.update_id
        frame = b""
        for follower in list(self.waiting):
            if follower.waiting_bytes <= LAG_BYTES:
                frame = frame or self._snapshot(book)
                follower.push(frame)
                del self.waiting[follower]
                self.live[follower] = None

    def _snapshot(self, book: DepthView) -> bytes:
        bids, asks = (levels(self.instrument, side) for side in book.top(SNAPSHOT_LEVELS))
        places = {"seq": book.update_id, "recovered": False}
        return text_frame(encode({**self.head("snapshot"), **places, "bids": bids, "asks": asks}))
