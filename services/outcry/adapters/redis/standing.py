"""What the engine's side knows of one symbol: the committed book, and what its listeners may still lack. Pure."""

from collections import deque
from collections.abc import Iterable
from itertools import chain
from typing import Final

import msgspec

from outcry.market.terms import BUY
from outcry.ports import MarketUpdate

MAX_HELD: Final = 1_000  # updates kept of a symbol that is behind; beyond, the backlog or a snapshot has to do

_encode: Final = msgspec.msgpack.Encoder().encode


class Standing:
    """Begins with a snapshot, and behind: only Redis can say whether it lacks something."""

    def __init__(self, snapshot: MarketUpdate) -> None:
        assert snapshot.snapshot, f"symbol {snapshot.symbol_id} begins without a snapshot"
        self.part = snapshot.part
        self.symbol_id = snapshot.symbol_id
        self.epoch = snapshot.epoch
        self.seq = snapshot.last_seq
        self.u = snapshot.last_u
        self.stored_seq = 0  # as far as Redis has confirmed it
        self.behind = True
        self.cut_u: dict[int, int] = {}  # by window: the last u up to which Redis has cut it
        self._time_ms = snapshot.time_ms
        self._levels = {(side, price): lots for side, price, lots in snapshot.levels}
        self._first: MarketUpdate | None = snapshot  # with trades and status, which the levels alone do not tell
        self._held: deque[MarketUpdate] = deque()

    def apply(self, update: MarketUpdate) -> None:
        """Takes the next committed changes."""
        assert update.first_seq <= self.seq + 1, f"symbol {self.symbol_id}: {update.first_seq} after {self.seq}"
        for side, price, lots in update.levels:
            if lots:
                self._levels[(side, price)] = lots
            else:
                self._levels.pop((side, price), None)
        self.seq = max(self.seq, update.last_seq)
        self.u = max(self.u, update.last_u)
        self._time_ms = update.time_ms

    def hold(self, update: MarketUpdate) -> None:
        """Keeps an update that Redis may lack, and is behind from now on."""
        self.behind = True
        if len(self._held) >= MAX_HELD:
            self._held.clear()
            self._first = None
        self._held.append(update)

    def caught_up(self, stored_seq: int) -> bool:
        """Whether Redis has everything; then nothing is held any longer."""
        if stored_seq < self.seq:
            return False
        self.stored_seq = stored_seq
        self.behind = False
        self.cut_u.clear()  # what came late may be cut nowhere
        self._first = None
        self._held.clear()
        return True

    def after(self, stored_seq: int, stored: Iterable[MarketUpdate] = ()) -> list[MarketUpdate] | None:
        """The updates behind a seq without a gap up to the newest, out of stored and held ones; None: there is one."""
        found: list[MarketUpdate] = []
        for update in sorted(chain(stored, self._held), key=lambda update: update.first_seq):
            if update.last_seq <= stored_seq:
                continue
            if update.snapshot or update.first_seq > stored_seq + 1:
                return None
            found.append(update)
            stored_seq = update.last_seq
        return found if stored_seq >= self.seq else None

    def opening(self) -> MarketUpdate:
        """The book with which a feed epoch begins: the first one, if all that followed it is held, else today's.

        The first one is given once: nobody must be led back to it.
        """
        first, self._first = self._first, None
        if first is not None and self.after(first.last_seq) is not None:
            return first
        return MarketUpdate(
            symbol_id=self.symbol_id, part=self.part, epoch=self.epoch, first_seq=self.seq + 1, last_seq=self.seq,
            first_u=self.u + 1, last_u=self.u, time_ms=self._time_ms, snapshot=True,
            levels=tuple((side, price, lots) for (side, price), lots in self._levels.items()),
        )  # fmt: skip


def packed_changes(update: MarketUpdate) -> bytes:
    """The levels as ``append.lua`` reads them: bids to set and to remove, asks likewise."""
    lists: tuple[list[object], ...] = ([], [], [], [])
    for side, price, lots in update.levels:
        at = 0 if side == BUY else 2
        if lots:
            lists[at].extend((price, str(lots)))  # Lua's numbers end at 2^53
        else:
            lists[at + 1].append(price)
    return _encode(lists)


def packed_book(update: MarketUpdate) -> tuple[bytes, bytes]:
    """Bids and asks of a snapshot as ``open.lua`` reads them."""
    sides: tuple[list[object], list[object]] = ([], [])
    for side, price, lots in update.levels:
        sides[side != BUY].extend((price, str(lots)))
    return _encode(sides[0]), _encode(sides[1])
