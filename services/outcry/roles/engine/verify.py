"""Proves the invariants: replays every log, compares it row by row with the ledger, and counts all money."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from outcry.codec import BadState
from outcry.market.terms import WORLD_ACCOUNT
from outcry.ports import Damaged, OutOfService
from outcry.roles.engine.comparison import Comparison, EvidenceLedger
from outcry.roles.engine.insistent import PATIENCE_SECONDS, Insistent, Log, Unanswered
from outcry.roles.engine.replay import NoStart, Progress, open_replay
from outcry.roles.engine.streams import Followed, Streams, no_streams
from outcry.roles.engine.told import Told
from outcry.rows import Money

NO_STREAMS: Final = no_streams("none were named")

log = logging.getLogger(__name__)


@dataclass
class Report:
    """What was looked at, what is broken and what could not be looked at, one sentence each."""

    checked: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    since_ms: int = 0  # log time from which on everything is kept
    gave_up: bool = False  # something is unchecked because nobody answered

    def conclude(self, text: str, problems: Sequence[str]) -> None:
        """A check found problems, or what its text says."""
        if problems:
            self.problems += problems
        else:
            self.checked.append(text)

    @property
    def verdict(self) -> str:
        """All of it in one sentence."""
        if self.problems:
            return f"{len(self.problems)} problems found."
        if self.gave_up:
            return "Every invariant that was checked holds; run it again for those that nobody could be asked about."
        return "Every invariant that was checked holds." if self.unchecked else "Every invariant holds."

    def give_up(self, what: str, reason: object) -> None:
        """Something could not be asked for."""
        self.gave_up = True
        self.unchecked.append(f"{what}: {reason}")

    def add(self, found: "Report") -> None:
        """Takes over what another one says."""
        self.checked += found.checked
        self.problems += found.problems
        self.unchecked += found.unchecked
        self.since_ms = max(self.since_ms, found.since_ms)
        self.gave_up |= found.gave_up


async def verify(ledger: EvidenceLedger, journal: Log, progress: Progress, streams: Streams = NO_STREAMS) -> Report:
    """Checks a stopped or a running system; each partition up to where it stands when its turn comes.

    ``streams`` are those of the running system, or say that there are none. A journal that does not answer is asked
    again for a while; what it goes on not to answer stays unchecked. Raises Damaged where the file itself cannot be
    read, OutOfService where the ledger cannot be asked.
    """
    report, log_read = Report(), Insistent(journal, progress, PATIENCE_SECONDS)
    for row in await ledger.partitions():
        progress(f"partition {row.part}: replaying its log")
        if row.status != "RUN":
            report.problems.append(f"partition {row.part} is halted: {row.halt_reason}")
        report.add(await _prove(ledger, log_read, row.part, progress))
    progress("reading what clients were told")
    await _check_told(ledger, report)
    progress("counting all money")
    money = await ledger.money()
    _check_money(money, report)
    _check_holds(money, report)
    progress("following the streams")
    followed = Followed(ledger, log_read, streams)
    try:
        await followed.follow()
    except Unanswered as reason:
        report.give_up("streams", reason)
    report.add(Report(followed.checked, followed.problems, followed.unchecked))
    return report


async def _prove(ledger: EvidenceLedger, journal: Log, part: int, progress: Progress) -> Report:
    """One partition; once more where retention took the replay's beginning away meanwhile."""
    oldest = await _oldest_checkpoint(ledger, part)
    found = await supervise_partition(ledger, journal, part, progress)
    if found.problems and await _oldest_checkpoint(ledger, part) != oldest:
        progress(f"partition {part}: its oldest records were thrown away meanwhile; once more")
        found = await supervise_partition(ledger, journal, part, progress)
    return found


async def _oldest_checkpoint(ledger: EvidenceLedger, part: int) -> int:
    return min((kept.next_offset for kept in await ledger.checkpoints(part)), default=-1)


async def supervise_partition(ledger: EvidenceLedger, journal: Log, part: int, progress: Progress) -> Report:
    """Replays and compares one partition; whatever its log makes fail is a finding, not an end."""
    try:
        replay = await open_replay(ledger, journal, part)
        comparison = Comparison(ledger, replay)
        async for chunk in replay.chunks(progress):
            await comparison.add(chunk)
        await comparison.finish()
    except (Damaged, OutOfService):
        raise
    except Unanswered as reason:
        given_up = Report()
        given_up.give_up(f"partition {part}", reason)
        return given_up
    except (NoStart, BadState) as problem:
        return Report(problems=[f"partition {part}: {problem}"])
    except Exception as bug:
        log.exception("The replay of partition %d fails.", part)
        return Report(problems=[f"partition {part}: the replay fails: {type(bug).__name__}: {bug}"])
    counts = ", ".join(f"{count:,} {name}" for name, count in comparison.counts.items())
    start, end = replay.start.row.next_offset, replay.end.row.next_offset
    text = (
        f"partition {part}: a replay of records {start} to {end} gives the ledger's rows ({counts}) and hashes;"
        " each journaled order has one outcome or none yet; ids are dense, quantities kept, the book is not crossed"
    )
    return Report([] if comparison.problems else [text], comparison.problems, since_ms=replay.start.row.log_time)


async def _check_told(ledger: EvidenceLedger, report: Report) -> None:
    if report.gave_up:
        report.unchecked.append("idempotency: nobody told from when on the answers' orders are kept")
        return
    told = Told(ledger, report.since_ms)
    await told.check()
    report.conclude(
        f"idempotency: each of {told.keys:,} keys has orders of its own account and of no other key, and"
        f" {told.answers:,} kept answers tell what the ledger says",
        told.problems,
    )


def _check_money(money: Money, report: Report) -> None:
    totals: Counter[int] = Counter()
    world: Counter[int] = Counter()
    problems = []
    for account, asset, free, held in money.balances:
        totals[asset] += free + held
        if account == WORLD_ACCOUNT:
            world[asset] += free + held
        elif free < 0 or held < 0:
            problems.append(f"account {account} has {free} free and {held} held of asset {asset}")
    for asset, total in totals.items():
        if total:
            problems.append(f"asset {asset}: all balances sum to {total}, not to zero with the world's")
    transfers = dict(money.transfers)
    for asset in sorted({*transfers, *world}):
        if -world[asset] != transfers.get(asset, 0):
            problems.append(f"asset {asset}: accounts have {-world[asset]}, transfers sum to {transfers.get(asset, 0)}")
    report.conclude(
        f"money: {len(money.balances):,} balances in {len(totals)} assets equal deposits less withdrawals,"
        " and none is negative",
        problems,
    )


def _check_holds(money: Money, report: Report) -> None:
    held = {(account, asset): held for account, asset, _, held in money.balances if held}
    needs = {(account, asset): need for account, asset, need in money.needs}
    problems = []
    for account, asset in sorted({*held, *needs}):
        has, need = held.get((account, asset), 0), needs.get((account, asset), 0)
        if has != need:
            problems.append(f"account {account} holds {has} of asset {asset}, its orders need {need}")
    problems += [
        f"order {order_id} has one outcome among the orders and another at intake" for order_id in money.strays
    ]
    report.conclude(f"holds: {len(held):,} equal what open orders and orders on their way need", problems)
