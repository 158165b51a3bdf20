"""Whether log time goes with the ledger's clock, by which orders are held and bounds are set.

Kafka's clock dates the records. Where it is ahead, trades are dated in the future; where it was, log time stands still
until the ledger's clock has come there, and orders that never arrived are given up that much later. Neither makes an
order count twice.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from outcry.rows import PartitionRow

ALARM_MS: Final = 1_000
REFUSE_MS: Final = 4_000  # a journal's clock that is ahead by as much dates no new orders
SEEN_MS: Final = 1_000  # how old what is seen of a partition may be without anybody's clock being wrong


class Skew:
    """``look`` at the partitions every half second; ``misdated`` take no new orders, ``alarm`` says what is wrong."""

    def __init__(self) -> None:
        self.ahead_ms: dict[int, int] = {}  # log time before the ledger's clock; negative: behind it
        self.misdated: frozenset[int] = frozenset()
        self._places: dict[int, tuple[int, int]] = {}  # next offset and log time, as of the last look
        self._leading: set[int] = set()  # partitions whose newest record moved log time: it has the journal's clock
        self._late: set[int] = set()  # whose newest record is old: that may be so where one was read late
        self._behind: set[int] = set()  # where it was so twice in a row

    def look(self, rows: Iterable[PartitionRow], now_ms: int, lags: Mapping[int, int]) -> None:
        """``now_ms`` is the ledger's clock, at the moment at which the rows were read."""
        for row in rows:
            part, ahead_ms = row.part, row.log_time - now_ms
            seen = self._places.get(part)
            self._places[part] = row.next_offset, row.log_time
            self.ahead_ms[part] = ahead_ms
            if seen is None or row.next_offset == seen[0]:
                continue  # nothing new is known of the journal's clock
            _put(self._leading, part, row.log_time > seen[1])
            is_late = ahead_ms <= -ALARM_MS - SEEN_MS and not lags.get(part)
            _put(self._behind, part, is_late and part in self._late)
            _put(self._late, part, is_late)
        self.misdated = frozenset(part for part in self._leading if self.ahead_ms[part] >= REFUSE_MS)

    @property
    def alarm(self) -> str:
        """What a person should look at; "" for nothing."""
        ahead = {part: ms for part, ms in self.ahead_ms.items() if ms >= ALARM_MS}
        behind = {part: -self.ahead_ms[part] for part in self._behind}
        told = [_told(ahead, "ahead of"), _told(behind, "behind")]
        refused = f"Partitions {sorted(self.misdated)} take no new orders." if self.misdated else ""
        return " ".join(filter(None, [*told, refused]))


def _put(parts: set[int], part: int, belongs: bool) -> None:
    if belongs:
        parts.add(part)
    else:
        parts.discard(part)


def _told(parts: Mapping[int, int], where: str) -> str:
    if not parts:
        return ""
    seconds = max(parts.values()) / 1000
    return f"Log time is up to {seconds:.1f} s {where} the ledger's clock on partitions {sorted(parts)}."
