"""What an owner and its shadow compare: a hash of all events in each aligned window of a partition's log.

The canonical form of a record's work is the msgpack of its events and of the postings they settled to, so numbers,
fills, money and fees are in it; ``VERSION`` changes with it, and hashes of two versions say nothing about each other.
An owner has a witness only while somebody asks for its hashes: it costs a few per cent of what an order does.
"""

import time
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Final, NamedTuple, Protocol

import msgspec

from outcry.market.events import AnyEvent
from outcry.rows import PostingRow

VERSION: Final = 1
WINDOW: Final = 100  # offsets
WATCH_SECONDS: Final = 120.0  # after the last question an owner's events are not hashed any more
MAX_WINDOWS: Final = 1_000  # kept; beyond it the oldest go

_encode: Final = msgspec.msgpack.Encoder().encode


class Seen(NamedTuple):
    """The hash of a window [from_offset, from_offset + WINDOW)."""

    from_offset: int
    digest: str


class Witness:
    """Told of each record's work, in order, from an offset on; only windows that it saw whole count."""

    def __init__(self, offset: int) -> None:
        # At its very beginning stops of the window before may have been let in, or not: that window is not seen whole.
        self._from = offset // WINDOW * WINDOW + WINDOW
        self._hash = sha256()
        self._events: list[AnyEvent] = []  # of the running record, and of stops let in before it
        self._postings: list[PostingRow] = []
        self.windows: list[Seen] = []

    def note(self, events: Sequence[AnyEvent], postings: Sequence[PostingRow]) -> None:
        """Takes what a command, or a lot of triggered stops, caused."""
        self._events += events
        self._postings += postings

    def close(self, next_offset: int) -> None:
        """A record is done: where it is the last of its window, the window is."""
        if self._events:
            self._hash.update(_encode(self._events))
            self._hash.update(_encode(self._postings))
            self._events.clear()
            self._postings.clear()
        if next_offset % WINDOW:
            return
        if next_offset > self._from:
            self.windows.append(Seen(next_offset - WINDOW, self._hash.hexdigest()))
            del self.windows[:-MAX_WINDOWS]
        self._hash = sha256()


class Watched(Protocol):
    """A partition whose events can be seen."""

    witness: Witness | None
    next_offset: int


class Watch:
    """Which of an engine's own partitions have a witness: those that somebody asked about lately."""

    def __init__(self, sessions: Mapping[int, Watched]) -> None:
        self._sessions = sessions
        self._until: dict[int, float] = {}

    def begin(self, part: int) -> Witness | None:
        """The witness of an owned partition, from now on if it had none; None of one that is not owned."""
        session = self._sessions.get(part)
        if session is None:
            return None
        if session.witness is None:
            session.witness = Witness(session.next_offset)
        self._until[part] = time.monotonic() + WATCH_SECONDS
        return session.witness

    def end_unasked(self) -> None:
        """Drops the witnesses that nobody asked about, those that came with a copy included."""
        now = time.monotonic()
        for part, session in self._sessions.items():
            if session.witness is not None and self._until.setdefault(part, now + WATCH_SECONDS) < now:
                session.witness = None
                del self._until[part]
