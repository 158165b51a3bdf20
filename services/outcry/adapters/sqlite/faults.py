"""What SQLite's errors mean to the roles: nothing written, unknown, full, or damaged."""

import sqlite3
from pathlib import Path

from outcry.ports import Damaged, DiskFull, OutcomeUnknown, OutOfService

PRIMARY_CODE = 0xFF  # extended result codes carry the primary code in their lowest byte
DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

Fault = OutOfService | OutcomeUnknown | Damaged


def fault_of(error: sqlite3.Error, path: Path, *, committing: bool = False) -> Fault:
    """The port's exception for an error of the file at ``path``.

    ``committing``: the error came from COMMIT, where only "disk full" proves that nothing was written.
    """
    code = getattr(error, "sqlite_errorcode", 0) & PRIMARY_CODE
    if code == sqlite3.SQLITE_FULL:
        return DiskFull(f"The disk that holds {path} is full. Free some space; nothing that was acknowledged is lost.")
    if code in DAMAGE:
        return damaged(path, str(error))
    if isinstance(error, sqlite3.IntegrityError):
        return Damaged(f"{path} refused a row that contradicts what it holds: {error}. Run `outcry verify`.")
    if committing:
        return OutcomeUnknown(f"The commit to {path} failed half-way: {error}.")
    return OutOfService(f"{path} cannot be used right now: {error}.")


def damaged(path: Path, found: str) -> Damaged:
    """A file that is not readable as a database, and what its owner can do."""
    return Damaged(
        f"{path} is damaged: {found}. Stop the exchange, keep a copy of the whole data directory, check the disk, "
        f"and put back a backup; `sqlite3 {path.name} .recover` saves what is still readable."
    )
