"""The exchange's one file, opened as journal, ledger and lease."""

from contextlib import ExitStack
from pathlib import Path

from outcry.adapters.sqlite.evidence import EvidenceBook
from outcry.adapters.sqlite.faults import damaged
from outcry.adapters.sqlite.housekeeping import HousekeepingBook
from outcry.adapters.sqlite.intake import IntakeBook
from outcry.adapters.sqlite.interventions import InterventionBook
from outcry.adapters.sqlite.journal import SqliteJournal
from outcry.adapters.sqlite.lease import SqliteLease
from outcry.adapters.sqlite.lock import DirectoryLock
from outcry.adapters.sqlite.prints import PrintBook
from outcry.adapters.sqlite.queries import QueryBook
from outcry.adapters.sqlite.reader import Reader
from outcry.adapters.sqlite.registry import RegistryBook
from outcry.adapters.sqlite.results import ResultBook
from outcry.adapters.sqlite.schema import check_pages
from outcry.adapters.sqlite.writer import Writer
from outcry.ports import Clock, OutOfService


class SqliteLedger(
    IntakeBook, ResultBook, HousekeepingBook, QueryBook, PrintBook, EvidenceBook, RegistryBook, InterventionBook
):
    """Keeps ``ports.Ledger``."""

    async def ping(self) -> None:
        await self._reader.ask(lambda db: db.execute("SELECT count(*) FROM engine_partition").fetchone())


class Store:
    """Journal, ledger and lease on one SQLite file (WAL, synchronous=FULL).

    One process at a time opens it for writing; any number may open it ``read_only`` meanwhile.
    """

    def __init__(self, path: str | Path, *, clock: Clock, read_only: bool = False) -> None:
        self._path = Path(path)
        self._read_only = read_only
        self._lock = DirectoryLock(self._path)
        self._writer = Writer(self._path, clock)
        self._reader = Reader(self._path)
        self.journal = SqliteJournal(self._writer, self._reader)
        self.ledger = SqliteLedger(self._writer, self._reader, clock)
        self.lease = SqliteLease(self._writer, self._reader, clock)

    def open(self) -> None:
        """Blocks. Raises InUse when another process has it open, Damaged, DiskFull, OutOfService."""
        if self._read_only:
            if not self._path.is_file():
                raise damaged(self._path, "there is no such file")
            self._reader.ask_now(lambda db: check_pages(db, self._path))
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.take()
        except OSError as error:
            raise OutOfService(f"{self._path.parent} cannot hold an exchange: {error.strerror}.") from error
        with ExitStack() as undo:
            undo.callback(self._lock.release)
            self._writer.open()
            undo.pop_all()

    def close(self) -> None:
        """Writes what waits, then closes. Blocks."""
        self._reader.close()
        self._writer.close()
        self._lock.release()
