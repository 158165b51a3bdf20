"""All that clients sent and were told, and whether what an exchange says later agrees with it.

What has ended, was compared and is old goes from ``History`` to ``Archive``: 16 bytes an order, which still tell
whether it is there, once, and as it was.
"""

import json
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from decimal import Decimal
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

FINAL: Final = frozenset({"FILLED", "CANCELED", "EXPIRED", "EXPIRED_IN_MATCH", "REJECTED"})
MAX_PROBLEMS: Final = 50  # kept of one check
GONE_SECONDS: Final = 120.0  # after its last answer a refused order is not asked about any more
TOLD_SECONDS: Final = 15.0  # after its end was seen a client has been told of it, and so have followers

Row = dict[str, Any]
Place = tuple[int, str]  # account, symbol


@dataclass
class Sent:
    """One order as its client knows it. Times are seconds since the campaign began."""

    owner: int  # which account
    symbol: str
    name: str  # its client order id, which nobody uses twice
    key: str  # its Idempotency-Key; "" without one
    sent_at: float
    params: dict[str, Any]
    attempts: int = 0
    heard: str = ""  # HTTP status and code of the last answer
    refused: int = 0  # the code of a definite refusal
    told: Row | None = None  # the last answer that said what became of it
    told_at: float = 0.0
    end: Row | None = None  # as a check saw it, once it had ended
    end_at: float = 0.0

    @property
    def is_known(self) -> bool:
        return self.told is not None or self.refused != 0

    @property
    def is_open(self) -> bool:
        return self.told is not None and self.end is None and self.told["status"] not in FINAL

    def hear(self, answer: Row, at: float) -> None:
        """Keeps what an answer says of the order."""
        self.told = {name: answer[name] for name in ("orderId", "status", "executedQty")}
        self.told_at = at


class Archive:
    """Orders that have ended, of one account and symbol: their ids in order, and a digest of what became of each."""

    def __init__(self) -> None:
        self._ids = array("Q")
        self._digests = array("Q")

    def __len__(self) -> int:
        return len(self._ids)

    def put(self, row: Row) -> None:
        at = bisect_left(self._ids, row["orderId"])
        self._ids.insert(at, row["orderId"])
        self._digests.insert(at, _digest(row))

    def compare(self, rows: Iterable[Row], first: int) -> tuple[list[Row], "Findings"]:
        """The rows that are not in the archive, and what is wrong with the others: all from the id ``first`` on."""
        others, found, seen = [], Findings(), set()
        for row in rows:
            at = bisect_left(self._ids, row["orderId"])
            if at == len(self._ids) or self._ids[at] != row["orderId"]:
                others.append(row)
                continue
            seen.add(row["orderId"])
            if self._digests[at] != _digest(row):
                found.lost.append(f"{row['clientOrderId']}: had ended, but it is now {_brief(row)}")
        at = bisect_left(self._ids, first)
        if len(self._ids) - at != len(seen):
            found.lost += [f"order {each} had ended, and is not there" for each in self._ids[at:] if each not in seen]
        return others, found


@dataclass
class History:
    """``orders`` by name in the order in which they were sent, until they are folded; then they are counted."""

    orders: dict[str, Sent] = field(default_factory=dict)
    cancels: int = 0  # acknowledged
    answers: Counter[str] = field(default_factory=Counter)  # HTTP status and code, or the kind of a broken connection
    seen: dict[str, Row] = field(default_factory=dict)  # what the exchange said of each when last asked
    archives: dict[Place, Archive] = field(default_factory=dict)
    folded: Counter[str] = field(default_factory=Counter)  # how many, by what their clients knew
    refusals: Counter[int] = field(default_factory=Counter)  # of what was folded, by code
    path: Path | None = None  # gets a JSON line of each order
    disputes: list[str] = field(default_factory=list)  # answers that came after an order's end and say another

    @property
    def count(self) -> int:
        """How many orders were sent."""
        return self.folded.total() + len(self.orders)

    def add(self, sent: Sent) -> None:
        self.orders[sent.name] = sent

    def hear(self, sent: Sent, answer: Row, at: float) -> None:
        """A client's answer; where the order's end was seen already, it must agree with that."""
        sent.hear(answer, at)
        if sent.end is not None and sent.told is not None:
            self.disputes += _gone_back(sent.name, sent.told, sent.end)

    def counts(self) -> Counter[str]:
        """Orders by what their clients know."""
        return self.folded + Counter(map(_known, self.orders.values()))

    def known(self, place: Place) -> list[Sent]:
        """Copies of the orders there whose outcome is known now; what is heard later changes nothing in them."""
        return [replace(sent) for sent in self._at(place) if sent.is_known]

    def archive(self, owner: int, symbol: str) -> Archive:
        return self.archives.setdefault((owner, symbol), Archive())

    def firsts(self) -> dict[Place, int]:
        """By account and symbol the lowest id of the orders that are not folded: what is older has ended."""
        lowest: dict[Place, int] = {}
        for sent in self.orders.values():
            seen = sent.told or self.seen.get(sent.name)
            if seen is not None:
                place = (sent.owner, sent.symbol)
                lowest[place] = min(seen["orderId"], lowest.get(place, seen["orderId"]))
        return lowest

    def fold(self, place: Place, now: float, judge: Callable[[Sent, Row], None]) -> None:
        """Lets go of what has ended and was compared with the exchange; ``judge`` looks at each for the last time."""
        for sent in [each for each in self._at(place) if _is_over(each, now)]:
            if sent.end is not None:
                judge(sent, sent.end)
                self.archive(sent.owner, sent.symbol).put(sent.end)
            self._drop(sent)

    def write(self) -> None:
        """What was never folded; the end of the history."""
        for sent in list(self.orders.values()):
            self._drop(sent)

    def _at(self, place: Place) -> Iterator[Sent]:
        return (sent for sent in self.orders.values() if (sent.owner, sent.symbol) == place)

    def _drop(self, sent: Sent) -> None:
        if self.path is not None:
            with self.path.open("a") as file:
                file.write(json.dumps({**asdict(sent), "seen": self.seen.get(sent.name)}) + "\n")
        self.folded[_known(sent)] += 1
        if sent.refused:
            self.refusals[sent.refused] += 1
        self.seen.pop(sent.name, None)
        del self.orders[sent.name]


@dataclass
class Findings:
    """What a check found: each a sentence."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.doubled)

    def add(self, other: "Findings") -> None:
        self.lost += other.lost[:MAX_PROBLEMS]
        self.doubled += other.doubled[:MAX_PROBLEMS]


def check(history: History, asked: Iterable[Sent], rows: Iterable[Row], now: float = 0.0) -> Findings:
    """Compares ``rows``, all orders that the exchange has and the archives do not, with what was known before.

    ``asked`` are copies of what was known before they were read. Lost: an answer that does not stand any more.
    Doubled: an effect that nobody was to have, or twice.
    """
    found, history.disputes = Findings(lost=history.disputes), []
    by_name: dict[str, Row] = {}
    for row in rows:
        name = row["clientOrderId"]
        if name in by_name:
            found.doubled.append(f"{name}: orders {by_name[name]['orderId']} and {row['orderId']}")
        elif name not in history.orders and history.folded:
            found.doubled.append(f"{name}: had its end or was refused long ago, but there is {_brief(row)}")
        by_name[name] = row
    for sent in asked:
        seen = by_name.get(sent.name)
        for before in (sent.told, history.seen.get(sent.name)):
            if before is not None:
                found.lost += _gone_back(sent.name, before, seen)
        if sent.refused and sent.told is None and seen is not None and seen["status"] != "REJECTED":
            found.doubled.append(f"{sent.name}: refused with {sent.refused}, but there: {_brief(seen)}")
    for name, row in by_name.items():
        if name in history.orders:
            _note(history.orders[name], row, now)
            history.seen[name] = _brief(row)
    return found


def _note(sent: Sent, row: Row, now: float) -> None:
    if sent.end is None and row["status"] in FINAL:
        sent.end = {"clientOrderId": sent.name, **_brief(row)}
        sent.end_at = now


def _is_over(sent: Sent, now: float) -> bool:
    """Nothing can happen to it any more, and everyone who follows it has been told; its client asks no more.

    What has a key and never settled is kept: the campaign tells of it.
    """
    if sent.key and not sent.is_known:
        return False
    if sent.end is not None:
        return now - sent.end_at >= (TOLD_SECONDS if sent.is_known else GONE_SECONDS)
    return sent.refused != 0 and sent.told is None and now - sent.sent_at >= GONE_SECONDS


def _known(sent: Sent) -> str:
    return "accepted" if sent.told is not None else "refused" if sent.refused else "unknown"


def _gone_back(name: str, before: Row, now: Row | None) -> list[str]:
    if now is None:
        return [f"{name}: told {before}, but it does not exist"]
    if now["orderId"] != before["orderId"]:
        return [f"{name}: told {before}, but it is {_brief(now)}"]
    if before["status"] in FINAL:
        same = now["status"] == before["status"] and Decimal(now["executedQty"]) == Decimal(before["executedQty"])
        return [] if same else [f"{name}: told {before} as its end, but it is {_brief(now)}"]
    if Decimal(now["executedQty"]) < Decimal(before["executedQty"]):
        return [f"{name}: told {before}, but only {_brief(now)}"]
    return []


def _brief(row: Row) -> Row:
    return {name: row[name] for name in ("orderId", "status", "executedQty")}


def _digest(row: Row) -> int:
    text = f"{row['clientOrderId']} {row['status']} {Decimal(row['executedQty']).normalize()}"
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")
