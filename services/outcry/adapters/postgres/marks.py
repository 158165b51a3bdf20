"""Outcomes marked at intake: an order's first one must find its row, or its partition must halt."""

from collections.abc import Sequence
from typing import Final

from outcry.adapters.postgres.bulk import columns_of, count_of
from outcry.adapters.postgres.sheet import Sheet
from outcry.adapters.postgres.statements import statement
from outcry.adapters.postgres.writer import Connection
from outcry.ports import IntakeMissing
from outcry.rows import IntakeMark

MARK_APPLIED: Final = statement("mark_applied")
MARK_CANCELED: Final = statement("mark_canceled")
CLOSE: Final = "UPDATE intake SET open = 0 WHERE order_id = ANY($1::bigint[])"
FOUND: Final = "SELECT order_id, part, held, applied_offset FROM intake WHERE order_id = ANY($1::bigint[])"


async def mark_intake(connection: Connection, sheet: Sheet) -> None:
    """Writes the marks of a batch within its transaction. Raises IntakeMissing."""
    marks = sheet.marks
    if marks and count_of(await connection.execute(MARK_APPLIED, *columns_of(marks))) != len(marks):
        raise IntakeMissing(await _missing(connection, marks))
    if sheet.closed:
        await connection.execute(CLOSE, sheet.closed)
    if sheet.cancels:
        await connection.execute(MARK_CANCELED, *columns_of(sheet.cancels))


async def _missing(connection: Connection, marks: Sequence[IntakeMark]) -> str:
    """Which mark found no row: the first that did not arrive."""
    rows = await connection.fetch(FOUND, [mark.order_id for mark in marks])
    there = {order_id: (part, held, applied) for order_id, part, held, applied in rows}
    for mark in marks:
        row = there.get(mark.order_id)
        if row != (mark.part, mark.held, mark.applied_offset):
            found = "no row" if row is None else f"partition {row[0]}, hold {row[1]}, applied at {row[2]}"
            return (
                f"partition {mark.part}: order {mark.order_id} has its first outcome at offset"
                f" {mark.applied_offset} with a hold of {mark.held}, but its intake says: {found}"
            )
    return "one order has two first outcomes in one batch"
