"""What PostgreSQL's errors mean to the roles: nothing written, unknown, full, or damaged."""

from typing import Final

import asyncpg
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from outcry.ports import Damaged, DiskFull, OutcomeUnknown, OutOfService

# All that a statement may raise. asyncpg raises InternalClientError when a backend dies within a COPY (asyncpg #784),
# and OverflowError where a number does not fit the column that it is copied to.
TROUBLE: Final = (
    OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OverflowError,
    SQLAlchemyError,
)  # fmt: skip
# The server says that the row is wrong (class 22, 23) or that a check of ours failed (P0).
REFUSALS: Final = ("22", "23", "P0")
LOST: Final = ("08", "57P")  # the connection ended: a statement under way may have been carried out

DISK_FULL: Final = "53100"
UNIQUE: Final = "23505"
DEADLOCK: Final = "40P01"
CONTRADICTION: Final = "OU001"  # ours, by outcry_insist: the ledger does not hold what a statement relies on

Fault = OutOfService | OutcomeUnknown | Damaged


def code_of(error: BaseException) -> str:
    """The SQLSTATE that the server gave; "" where the error is not the server's."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        error = error.orig
    return str(getattr(error, "sqlstate", None) or "")


def refuses_row(error: BaseException) -> bool:
    """Whether the server, or asyncpg while it encoded a value, refused what was to be written."""
    if isinstance(error, OverflowError):
        return True
    if isinstance(error, asyncpg.InterfaceError):
        return isinstance(error, ValueError)  # a parameter that does not fit its type
    return code_of(error).startswith(REFUSALS)


def fault_of(error: BaseException, *, sent: bool = False) -> Fault:
    """The port's exception for an error of the database.

    ``sent``: a statement that commits was on its way, so a lost connection leaves its outcome unknown.
    """
    code = code_of(error)
    if code == DISK_FULL:
        return DiskFull("The disk of the database is full. Free some space; nothing that was acknowledged is lost.")
    if refuses_row(error):
        return Damaged(f"The database refused a row that contradicts what it holds: {error}. Run `outcry verify`.")
    if code.startswith("XX"):
        return Damaged(f"The database reports damage: {error}. Look at its log before anything else is written.")
    if sent and (not code or code.startswith(LOST)):
        return OutcomeUnknown(f"The connection ended while a commit was under way: {_words(error)}.")
    return OutOfService(f"The database cannot be used right now: {_words(error)}.")


def _words(error: BaseException) -> str:
    if isinstance(error, DBAPIError) and error.orig is not None:
        error = error.orig  # without the statement
    return str(error).rstrip(".") or type(error).__name__
