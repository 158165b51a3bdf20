"""Bringing a batch to the disk: all partitions together, those that fail or are lost apart from the others."""

import logging
from dataclasses import dataclass, field

from outcry.ports import EngineLedger, IntakeMissing, OutcomeUnknown, OutOfService, Publication
from outcry.rows import PartBatch

Taken = dict[int, tuple[PartBatch, Publication]]  # by partition

log = logging.getLogger(__name__)


@dataclass
class Landing:
    """What came of a batch, partition by partition; those in none of these are of unknown fate or were not written."""

    landed: Taken = field(default_factory=dict)
    lost: list[int] = field(default_factory=list)  # another engine owns them
    refused: dict[int, str] = field(default_factory=dict)  # they contradict the ledger
    trouble: OutOfService | OutcomeUnknown | None = None

    async def bring(self, ledger: EngineLedger, taken: Taken) -> "Landing":
        """Commits the parts together; those that another engine owns fall out, unchanged the others go again."""
        try:
            while taken:
                named = await ledger.commit([batch for batch, _ in taken.values()])
                lost = [part for part in taken if part not in named]
                if not lost:
                    self.landed |= taken
                    break
                log.warning("Partitions %s belong to another engine now.", lost)
                self.lost += lost
                taken = {part: pieces for part, pieces in taken.items() if part in named}
        except IntakeMissing as missing:
            await self._alone(ledger, taken, missing)
        except (OutOfService, OutcomeUnknown) as trouble:
            self.trouble = trouble
        return self

    async def _alone(self, ledger: EngineLedger, taken: Taken, missing: IntakeMissing) -> None:
        """One of the parts contradicts the ledger: each goes alone, so that the others go on."""
        if len(taken) == 1:
            (part,) = taken
            self.refused[part] = f"intake_missing: {missing}"
            return
        for part, pieces in taken.items():
            if self.trouble is None:
                await self.bring(ledger, {part: pieces})
