"""Leases to test with: their port, and a clock by hand."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from outcry.adapters.postgres import PgStore
from outcry.leases import Lease, Leased
from tests.support.postgres import DatabaseClock, migrated_database
from tests.support.storage import HandClock


@dataclass
class Leases:
    """A port, and the time by which its leases end."""

    lease: Lease
    clock: HandClock

    async def row(self, part: int = 0) -> Leased:
        """One lease as everybody sees it."""
        return next(row for row in (await self.lease.look()).leases if row.part == part)

    async def epoch(self, part: int = 0, owner: str = "pod-a/1") -> int:
        """Takes a partition over, which must be free; its new epoch."""
        taken = await self.lease.takeover(part, owner)
        assert taken is not None
        return taken.epoch


@contextlib.asynccontextmanager
async def postgres_leases() -> AsyncIterator[Leases]:
    """Leases in a database of their own."""
    with migrated_database() as url:
        clock = DatabaseClock(url)
        store = PgStore(url)
        await store.open()
        try:
            yield Leases(store.lease, clock)
        finally:
            await store.close()
            clock.close()
