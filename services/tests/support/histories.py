"""All that clients sent and were told, and whether what an exchange says later agrees with it."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

FINAL: Final = frozenset({"FILLED", "CANCELED", "EXPIRED", "EXPIRED_IN_MATCH", "REJECTED"})
MAX_PROBLEMS: Final = 50  # kept of one check

Row = dict[str, Any]


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
    refused: int = 0  # the code of a definite refusal
    told: Row | None = None  # the last answer that said what became of it
    told_at: float = 0.0

    @property
    def is_known(self) -> bool:
        return self.told is not None or self.refused != 0

    @property
    def is_open(self) -> bool:
        return self.told is not None and self.told["status"] not in FINAL

    def hear(self, answer: Row, at: float) -> None:
        """Keeps what an answer says of the order."""
        self.told = {name: answer[name] for name in ("orderId", "status", "executedQty")}
        self.told_at = at


@dataclass
class History:
    """``orders`` in the order in which they were sent; ``seen`` is what the exchange said of each when last asked."""

    orders: list[Sent] = field(default_factory=list)
    cancels: int = 0  # acknowledged
    answers: Counter[str] = field(default_factory=Counter)  # HTTP status and code, or the kind of a broken connection
    seen: dict[str, Row] = field(default_factory=dict)

    def known(self) -> list[Sent]:
        """Copies of the orders whose outcome is known now; what is heard later changes nothing in them."""
        return [replace(sent) for sent in self.orders if sent.is_known]

    def write(self, path: Path) -> None:
        """One JSON object a line."""
        with path.open("w") as file:
            for sent in self.orders:
                file.write(json.dumps({**asdict(sent), "seen": self.seen.get(sent.name)}) + "\n")


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


def check(history: History, asked: Iterable[Sent], rows: Iterable[Row]) -> Findings:
    """Compares ``rows``, all orders that the exchange has, with what was known of ``asked`` before they were read.

    Lost: an answer that does not stand any more. Doubled: an effect that nobody was to have, or twice.
    """
    found = Findings()
    by_name: dict[str, Row] = {}
    for row in rows:
        name = row["clientOrderId"]
        if name in by_name:
            found.doubled.append(f"{name}: orders {by_name[name]['orderId']} and {row['orderId']}")
        by_name[name] = row
    for sent in asked:
        now = by_name.get(sent.name)
        for before in (sent.told, history.seen.get(sent.name)):
            if before is not None:
                found.lost += _gone_back(sent.name, before, now)
        if sent.refused and sent.told is None and now is not None and now["status"] != "REJECTED":
            found.doubled.append(f"{sent.name}: refused with {sent.refused}, but there: {_brief(now)}")
    history.seen.update((name, _brief(row)) for name, row in by_name.items())
    return found


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
