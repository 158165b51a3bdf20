"""The file's schema: numbered migrations carry an old file forward, a newer one is refused."""

import re
import sqlite3
from importlib import resources
from pathlib import Path

from outcry.adapters.sqlite.faults import damaged, fault_of
from outcry.ports import Damaged, OutOfService

OLDEST_SQLITE = (3, 37, 0)  # STRICT tables
APPLICATION_ID = 0x4F757463  # "Outc": marks the file as an exchange's
QUICK_CHECK_BYTES = 256 << 20  # files up to this size are checked whole at every start

PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA busy_timeout = 5000",
    "PRAGMA cache_size = -65536",  # 64 MiB
    "PRAGMA wal_autocheckpoint = 4000",
    "PRAGMA journal_size_limit = 67108864",  # the log's file shrinks back after a burst
    "PRAGMA temp_store = MEMORY",
)


def migrations() -> list[tuple[int, str]]:
    """Every migration as (version, SQL), oldest first."""
    folder = resources.files("outcry.adapters.sqlite") / "migrations"
    found = []
    for entry in folder.iterdir():
        number = re.match(r"(\d{4})_\w+\.sql$", entry.name)
        if number:
            found.append((int(number[1]), entry.read_text(encoding="utf-8")))
    return sorted(found)


def connect_writer(path: Path) -> sqlite3.Connection:
    """The one writing connection, with the schema brought up to date. Raises Damaged, OutOfService."""
    _refuse_old_sqlite()
    try:
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=512)
        for pragma in PRAGMAS:
            db.execute(pragma)
        check_pages(db, path)
        _migrate(db, path)
    except sqlite3.Error as error:
        raise fault_of(error, path) from error
    return db


def connect_reader(path: Path) -> sqlite3.Connection:
    """A connection that can only read what a writer has begun. Raises Damaged, OutOfService."""
    _refuse_old_sqlite()
    try:
        db = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, check_same_thread=False
        )
        db.execute("PRAGMA busy_timeout = 5000")
        db.execute("PRAGMA cache_size = -16384")
        db.execute("PRAGMA temp_store = MEMORY")
        if not check_version(db, path):
            raise damaged(path, "it is empty")
    except sqlite3.Error as error:
        raise fault_of(error, path) from error
    return db


def check_version(db: sqlite3.Connection, path: Path) -> int:
    """The file's schema version. Raises Damaged for a file that is no exchange's or too new."""
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    newest = migrations()[-1][0]
    if version > newest:
        raise Damaged(
            f"{path} was written by a newer Outcry (schema {version}; this one knows up to {newest}). "
            "Install that version, or choose another data directory."
        )
    return version


def check_pages(db: sqlite3.Connection, path: Path) -> None:
    """Looks for damage: the whole of a small file, the header of a large one (its pages when they are read)."""
    tables = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    application = db.execute("PRAGMA application_id").fetchone()[0]
    if tables and application != APPLICATION_ID:
        raise Damaged(f"{path} is a database, but not one of an exchange. Choose another data directory.")
    if path.stat().st_size <= QUICK_CHECK_BYTES:
        found = db.execute("PRAGMA quick_check(3)").fetchall()
        if found != [("ok",)]:
            raise damaged(path, "; ".join(str(row[0]) for row in found))


def _refuse_old_sqlite() -> None:
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        needed = ".".join(map(str, OLDEST_SQLITE))
        raise OutOfService(f"Python's SQLite is {sqlite3.sqlite_version}, but {needed} or newer is needed.")


def _migrate(db: sqlite3.Connection, path: Path) -> None:
    version = check_version(db, path)
    for number, script in migrations():
        if number > version:
            db.executescript(
                f"BEGIN IMMEDIATE; {script} PRAGMA application_id = {APPLICATION_ID}; "
                f"PRAGMA user_version = {number}; COMMIT;"
            )
