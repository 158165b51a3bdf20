"""Orders that the ledger knows, as a batch leaves them."""

import operator
from collections.abc import Sequence
from typing import Final

import asyncpg

from outcry.adapters.postgres.bulk import arrays, columns_of, count_of
from outcry.adapters.postgres.statements import statement
from outcry.adapters.postgres.writer import Connection
from outcry.ports import IntakeMissing
from outcry.rows import OrderRow

# What an order may change after it was placed; its terms and its name stand apart.
CHANGING: Final = (
    "price", "qty", "quote_qty", "stop_price", "iceberg_qty", "status", "executed", "cum_quote", "held", "visible",
    "prevented", "stage", "trail_ref", "priority_seq", "list_id", "updated_ms", "working_ms", "code", "text", "open",
)  # fmt: skip
GIVEN: Final = ("order_id", "client_order_id", *CHANGING)

CHANGES: Final = ", ".join(f"{name} = u.{name}" for name in (*CHANGING, "changed_before"))
CHANGE: Final = statement("change_orders").format(
    changes=CHANGES,
    arrays=arrays((*GIVEN, "changed_before")),
    columns=", ".join((*GIVEN, "changed_before")),
)
NAMES: Final = "SELECT order_id, client_order_id FROM orders WHERE order_id = ANY($1::bigint[])"
RENAME: Final = "UPDATE orders SET client_order_id = $2 WHERE order_id = $1"
RENAME_INTAKE: Final = "UPDATE intake SET client_order_id = $2 WHERE order_id = $1"

Changed = tuple[OrderRow, int]  # and the offset before which the record that changed it lies

_given = operator.itemgetter(*(OrderRow._fields.index(name) for name in GIVEN))


class RowRefused(IntakeMissing):
    """A row of the batch contradicts what the ledger holds: as with a missing intake row, its partition must halt."""


async def change_orders(connection: Connection, touched: Sequence[Changed]) -> None:
    """Writes touched orders within the batch's transaction. Raises RowRefused where one is not in the ledger."""
    if not touched:
        return
    changed = await _change(connection, touched)
    if changed == len(touched):
        return
    renamed = await _rename(connection, [row for row, _ in touched])
    again = [each for each in touched if each[0].order_id in renamed]
    if changed + await _change(connection, again) != len(touched):
        raise RowRefused(f"partition {touched[0][0].part} changes an order that is not in the ledger")


async def _change(connection: Connection, touched: Sequence[Changed]) -> int:
    if not touched:
        return 0
    rows = [(*_given(row), before) for row, before in touched]
    return count_of(await connection.execute(CHANGE, *columns_of(rows)))


async def _rename(connection: Connection, touched: Sequence[OrderRow]) -> set[int]:
    """Gives orders their new names; returns which had another one."""
    names = dict(await connection.fetch(NAMES, [row.order_id for row in touched]))
    renamed = {row.order_id: row.client_order_id for row in touched}
    renamed = {key: name for key, name in renamed.items() if names.get(key, name) != name}
    for order_id, name in renamed.items():
        await connection.execute(RENAME, order_id, name)
        await _rename_intake(connection, order_id, name)
    return set(renamed)


async def _rename_intake(connection: Connection, order_id: int, name: str) -> None:
    """The name may have been taken in between, or be about to be: the order keeps its old one at intake then."""
    await connection.execute("SAVEPOINT renaming")
    try:
        await connection.execute(RENAME_INTAKE, order_id, name)
    except (asyncpg.UniqueViolationError, asyncpg.LockNotAvailableError):
        await connection.execute("ROLLBACK TO SAVEPOINT renaming")
