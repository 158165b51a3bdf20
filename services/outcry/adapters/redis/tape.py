"""One symbol's messages put in order: copies dropped, gaps noticed, nothing told twice or out of turn. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import Final

from msgspec.structs import replace

from outcry.feedcodec import BadMessage, Kind, MarketMessage, decode_beat, decode_cut, decode_update
from outcry.ports import WINDOWS_MS, Cut, MarketUpdate

MAX_PENDING: Final = 10_000  # messages kept while a gap is filled; beyond, they are fetched like those before them

Told = list[MarketUpdate | Cut]


class Want(Enum):
    """What the tape needs before it can go on."""

    NOTHING = 0
    SINCE = 1  # the stream's messages behind ``seq``
    BOOK = 2  # the book, for the stream has not what is missing


class Tape:
    """``take`` every message that is heard; while ``want`` is not NOTHING, give it ``fill`` or ``replace``."""

    def __init__(self, symbol_id: int) -> None:
        self.symbol_id = symbol_id
        self.want = Want.NOTHING
        self.feed_epoch = 0  # 0: nothing heard yet
        self.seq = 0
        self.u = 0
        self._again = False  # messages may have been missed since what is wanted was asked for
        self._trade_id = 0
        self._joined_u = 0  # nothing of what led up to it was told
        self._cuts: dict[int, int] = {}  # the last u of each window
        self._pending: list[MarketMessage] = []

    def doubt(self) -> None:
        """Messages may have been missed unnoticed, as after a lost connection."""
        if self.want is not Want.NOTHING:
            self._again = True
        elif self.feed_epoch:
            self.want = Want.SINCE

    def take(self, message: MarketMessage) -> Told:
        """What the message means to listeners now; nothing when it is a copy, or has to wait."""
        if message.kind == Kind.SNAPSHOT and message.feed_epoch > self.feed_epoch:
            return self._begin(message)
        if self.want is Want.NOTHING:
            return self._step(message)
        if len(self._pending) >= MAX_PENDING:
            self._pending.clear()
        self._pending.append(message)
        return []

    def fill(self, feed_epoch: int, seq: int, messages: Sequence[MarketMessage], is_last: bool) -> Told:
        """Takes a page of the stream behind ``self.seq``, and where the symbol stood when it was read."""
        is_last, self._again = is_last and not self._again, False
        if feed_epoch != self.feed_epoch:
            self.want = Want.BOOK
            return []
        told: Told = []
        self.want = Want.NOTHING
        for message in messages:
            told += self._step(message)
            if self.want is not Want.NOTHING:
                self.want = Want.BOOK  # the stream itself has a gap
                return told
        if not is_last:
            self.want = Want.SINCE
        elif self.seq < seq:
            self.want = Want.BOOK
        else:
            told += self._drain()
        return told

    def replace(self, snapshot: MarketUpdate) -> Told:
        """Goes on from the book as Redis has it, unless that is no news."""
        self.want, self._again = Want.SINCE if self._again else Want.NOTHING, False
        told: Told = []
        if snapshot.feed_epoch != self.feed_epoch or snapshot.last_seq > self.seq:
            told = self._stand(snapshot)
        return told + self._drain()

    def _begin(self, message: MarketMessage) -> Told:
        self._pending.clear()
        self._again = False
        try:
            snapshot = replace(decode_update(message.body), feed_epoch=message.feed_epoch)
        except BadMessage:
            self.want = Want.BOOK
            return []
        self.want = Want.NOTHING
        return self._stand(snapshot)

    def _stand(self, snapshot: MarketUpdate) -> Told:
        """Where nothing is missing before the snapshot its windows end here: a Redis that was emptied cuts them not."""
        told: Told = []
        if self.feed_epoch and snapshot.last_seq == self.seq:
            told += self._make_up(dict.fromkeys(WINDOWS_MS, self.u))
        self.feed_epoch, self.seq, self.u = snapshot.feed_epoch, snapshot.last_seq, snapshot.last_u
        self._joined_u = self.u
        self._cuts.clear()
        self._note_trades(snapshot)
        return [*told, snapshot]

    def _make_up(self, cuts: Mapping[int, int]) -> Iterable[Cut]:
        """Ends the windows, by their length, that were cut where the tape stands without its being told."""
        for window_ms, cut_u in cuts.items():
            known = self._cuts.get(window_ms, self._joined_u)
            if known < cut_u == self.u:
                self._cuts[window_ms] = cut_u
                yield Cut(symbol_id=self.symbol_id, window_ms=window_ms, first_u=known + 1, last_u=cut_u)

    def _drain(self) -> Told:
        """Tells what waited. Redis has just named its feed epoch: what is of an earlier one was overtaken."""
        pending, self._pending = self._pending, []
        waited = [message for message in pending if message.feed_epoch >= self.feed_epoch]
        return [each for message in waited for each in self.take(message)]

    def _step(self, message: MarketMessage) -> Told:
        if not self.feed_epoch:
            self._join(message)
        if message.feed_epoch != self.feed_epoch or message.first_seq > self.seq + 1:
            self.want = Want.SINCE
            self._pending.append(message)
            return []
        try:
            if message.kind == Kind.UPDATE and message.last_seq > self.seq:
                return [self._advance(message)]
            if message.kind in (Kind.CUT, Kind.BEAT) and message.last_seq > self.seq:
                self.want = Want.SINCE
                self._pending.append(message)
            elif message.kind == Kind.CUT:
                return list(self._cut(message))
            elif message.kind == Kind.BEAT and message.last_seq == self.seq:
                return list(self._make_up(decode_beat(message.body)))
        except BadMessage:
            self.want = Want.BOOK
        return []

    def _join(self, message: MarketMessage) -> None:
        """The first message ever: what came before it, nobody here was told."""
        self.feed_epoch = message.feed_epoch
        if message.kind == Kind.UPDATE:
            self.seq = message.first_seq - 1
        else:
            self.seq, self.u = message.last_seq, message.last_u
            self._joined_u = self.u

    def _advance(self, message: MarketMessage) -> MarketUpdate:
        update = replace(decode_update(message.body), feed_epoch=message.feed_epoch)
        if update.first_seq <= self.seq:
            update = self._without_known(update)
        self.seq, self.u = update.last_seq, max(self.u, update.last_u)
        self._note_trades(update)
        return update

    def _without_known(self, update: MarketUpdate) -> MarketUpdate:
        """An update whose beginning was told already: another owner cut its batches elsewhere.

        Levels are absolute, so that all of them may stay.
        """
        trades = tuple(trade for trade in update.trades if trade.trade_id > self._trade_id)
        levels = update.levels if update.last_u > self.u else ()
        return replace(update, first_seq=self.seq + 1, first_u=self.u + 1, levels=levels, trades=trades)

    def _cut(self, message: MarketMessage) -> Iterable[Cut]:
        body = decode_cut(message.body)
        if message.last_u > self._cuts.get(body.window_ms, self._joined_u) and message.last_seq == self.seq:
            self._cuts[body.window_ms] = message.last_u
            yield Cut(symbol_id=self.symbol_id, window_ms=body.window_ms, first_u=body.first_u, last_u=message.last_u)

    def _note_trades(self, update: MarketUpdate) -> None:
        if update.trades:
            self._trade_id = max(self._trade_id, update.trades[-1].trade_id)
