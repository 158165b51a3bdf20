"""Reads on a few threads of their own, each with a connection that sees one committed state at a time."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from outcry.adapters.sqlite.faults import fault_of
from outcry.adapters.sqlite.schema import connect_reader
from outcry.ports import OutOfService

THREADS = 3
MAX_WAITING = 4096  # reads that may wait; beyond it the ledger says that it is out of service

T = TypeVar("T")


class Reader:
    """Runs queries in snapshots, never seeing half a transaction."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._own = threading.local()
        self._open: list[sqlite3.Connection] = []
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="ledger-reader")
        self._waiting = 0

    def close(self) -> None:
        self._pool.shutdown(wait=True)
        for db in self._open:
            db.close()
        self._open.clear()

    async def ask(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """The query's answer from one snapshot. Raises OutOfService, Damaged."""
        if self._waiting >= MAX_WAITING:
            raise OutOfService("Too many reads wait for the ledger.")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, self.ask_now, query)
        except RuntimeError as error:  # the pool was shut down
            raise OutOfService("The ledger is closed.") from error
        finally:
            self._waiting -= 1

    def ask_now(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """The same on the calling thread."""
        try:
            db = self._connection()
            db.execute("BEGIN")
            try:
                return query(db)
            finally:
                db.execute("COMMIT")
        except sqlite3.Error as error:
            raise fault_of(error, self._path) from error

    def _connection(self) -> sqlite3.Connection:
        found: sqlite3.Connection | None = getattr(self._own, "db", None)
        if found is None:
            found = connect_reader(self._path)
            self._own.db = found
            self._open.append(found)
        return found
