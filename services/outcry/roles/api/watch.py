"""Watches the partitions from outside: which are halted and how far each engine is behind its log."""

import asyncio
import logging
from collections.abc import Collection, Sequence
from typing import Any, Final, Protocol

from outcry.ports import OutcomeUnknown, OutOfService
from outcry.roles.api.skew import Skew
from outcry.rows import PartitionRow

LOOK_SECONDS: Final = 0.5

log = logging.getLogger(__name__)


class PartitionLedger(Protocol):
    """Where the engines stand."""

    async def partitions(self) -> list[PartitionRow]: ...
    async def clock_ms(self) -> int:
        """What time it is by the clock that sets the bounds of orders."""


class EndedJournal(Protocol):
    """Where the logs end."""

    async def end_offsets(self) -> dict[int, int]: ...


class PartitionWatch:
    """For a process without an engine. ``halted`` and ``lags`` are as of the last look, at most a second old.

    Lags are records that no commit has reached.
    """

    def __init__(self, ledger: PartitionLedger, journal: EndedJournal, status: dict[str, Any]) -> None:
        self.halted: dict[int, str] = {}
        self._ledger = ledger
        self._journal = journal
        self._status = status
        self._lags: dict[int, int] = {}
        self.skew = Skew()
        self._alarm = ""

    def lags(self) -> dict[int, int]:
        return self._lags

    def misdated(self) -> Collection[int]:
        """Partitions whose journal would date new orders in the future."""
        return self.skew.misdated

    async def run(self) -> None:
        """Looks until canceled; what cannot be asked is reported as the component "matching"."""
        while True:
            try:
                await self.look()
                self._status["matching"] = {"status": "degraded" if self.halted else "ok", "detail": self._told()}
            except (OutOfService, OutcomeUnknown) as trouble:
                self._status["matching"] = {"status": "degraded", "detail": f"The engines cannot be seen: {trouble}"}
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """One look. Raises OutOfService."""
        rows, now_ms, ends = await asyncio.gather(
            self._ledger.partitions(), self._ledger.clock_ms(), self._journal.end_offsets()
        )
        self._lags = {row.part: max(0, ends.get(row.part, 0) - row.next_offset) for row in rows}
        self._compare_clocks(rows, now_ms)
        found = {row.part: row.halt_reason or "halted by an operator" for row in rows if row.status == "HALT"}
        for part in found.keys() - self.halted.keys():
            log.error("Partition %d is halted: %s", part, found[part])
        for part in self.halted.keys() - found.keys():
            del self.halted[part]
        self.halted.update(found)

    def _compare_clocks(self, rows: Sequence[PartitionRow], now_ms: int) -> None:
        self.skew.look(rows, now_ms, self._lags)
        before, self._alarm = self._alarm, self.skew.alarm
        if bool(before) != bool(self._alarm):
            log.error("Clocks disagree. %s", self._alarm) if self._alarm else log.warning("The clocks agree again.")
        self._status["clocks"] = {"status": "degraded" if self._alarm else "ok", "detail": self._alarm}

    def _told(self) -> str:
        return "; ".join(f"partition {part} is halted: {why}" for part, why in sorted(self.halted.items()))
