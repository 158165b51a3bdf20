"""The cluster's ledger and leases, opened on one database."""

from typing import Final

from sqlalchemy import text

from outcry.adapters.breaker import Watch, unwatched
from outcry.adapters.postgres import schema
from outcry.adapters.postgres.backlog import PgBacklog
from outcry.adapters.postgres.database import Database
from outcry.adapters.postgres.evidence import EvidenceBook
from outcry.adapters.postgres.intake import IntakeBook
from outcry.adapters.postgres.interventions import InterventionBook
from outcry.adapters.postgres.lease import PgLease
from outcry.adapters.postgres.losses import LossBook
from outcry.adapters.postgres.prints import PrintBook
from outcry.adapters.postgres.registry import RegistryBook
from outcry.adapters.postgres.restoring import RestoringBook
from outcry.adapters.postgres.results import ResultBook
from outcry.adapters.postgres.statements import statement
from outcry.leases import HALT

LEASE_MS: Final = 6_000
NOTE_TOPIC: Final = statement("note_topic")
NOTED: Final = "SELECT count(*) FROM engine_partition WHERE topic = $1 AND topic_id = $2::uuid AND part < $3"


class PgLedger(
    RestoringBook, LossBook, IntakeBook, ResultBook, RegistryBook, PrintBook, EvidenceBook, InterventionBook
):
    """Keeps ``ports.Ledger``."""

    async def ping(self) -> None:
        await self._reader.rows(text("SELECT 1"))


class PgStore:
    """Ledger and lease on one PostgreSQL database. Any number of processes may open it."""

    def __init__(self, url: str, *, topic: str = "orders", lease_ms: int = LEASE_MS, watch: Watch = unwatched) -> None:
        """``watch`` is told when queries stop being made, because too many failed, and when they go on."""
        self._url = url
        self._database = Database(url, topic=topic, lease_ms=lease_ms, watch=watch)
        self.ledger = PgLedger(self._database)
        self.lease = PgLease(self._database)
        self.backlog = PgBacklog(self._database)

    @property
    def connections(self) -> tuple[int, int, int]:
        """Of the pool for holds and housekeeping: those at work, those at rest, and how many there may be."""
        return self._database.connections

    async def migrate(self) -> str:
        """Brings the schema up to date; returns its version. Raises OutOfService, Damaged."""
        return await schema.migrate(self._url)

    async def open(self) -> None:
        """Raises OutOfService (unreachable, not migrated), Damaged (migrated by a newer release)."""
        await self._database.open()

    async def note_topic(self, topic_id: str, partitions: int) -> list[int]:
        """A row for each partition of the journal's topic; halts those that were applied from another topic of its
        name, and returns them. Raises OutOfService, also where there is something to note and this role may not."""
        ((noted,),) = await self._database.fetch(NOTED, self._database.topic, topic_id, partitions)
        if noted == partitions:
            return []
        rows = await self._database.fetch(NOTE_TOPIC, self._database.topic, topic_id, partitions)
        return sorted(part for part, status in rows if status == HALT)

    async def close(self) -> None:
        """Lets work under way end, then disconnects."""
        await self.lease.close()
        await self._database.close()
