"""What an owner and its shadow compare: a hash of all events in each aligned window of a partition's log.

The canonical form of a record's work is the msgpack of its events and of the postings they settled to, so numbers,
fills, money and fees are in it; ``VERSION`` changes with it, and hashes of two versions say nothing about each other.
"""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final, NamedTuple

import msgspec

from outcry.market.events import AnyEvent
from outcry.rows import PostingRow

VERSION: Final = 1
WINDOW: Final = 100  # offsets
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
        self._hash = blake2b(digest_size=16)
        self.windows: list[Seen] = []

    def note(self, events: Sequence[AnyEvent], postings: Sequence[PostingRow]) -> None:
        self._hash.update(_encode(events))
        self._hash.update(_encode(postings))

    def close(self, next_offset: int) -> None:
        """A record is done: where it is the last of its window, the window is."""
        if next_offset % WINDOW:
            return
        if next_offset > self._from:
            self.windows.append(Seen(next_offset - WINDOW, self._hash.hexdigest()))
            del self.windows[:-MAX_WINDOWS]
        self._hash = blake2b(digest_size=16)
