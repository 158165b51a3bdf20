"""The careful way of a commit: statement by statement within a transaction, for any batch; it tells why it refuses."""

from collections.abc import Sequence
from typing import Any, Final

from outcry.adapters.postgres.bulk import Copy, Upsert, columns_of
from outcry.adapters.postgres.changes import RowRefused, change_orders
from outcry.adapters.postgres.faults import TROUBLE, refuses_row
from outcry.adapters.postgres.marks import mark_intake
from outcry.adapters.postgres.sheet import Sheet
from outcry.adapters.postgres.statements import statement
from outcry.adapters.postgres.writer import Connection
from outcry.ports import IntakeMissing
from outcry.rows import (
    AmendmentRow,
    CandleRow,
    DeadLetter,
    ListRow,
    OrderRow,
    PostingRow,
    PreventedRow,
    SymbolRow,
    TradeRow,
)

FENCE: Final = statement("fence")
ADVANCE: Final = statement("advance").format(fence=FENCE)
PUT_ORDERS: Final = Copy("orders", (*OrderRow._fields, "changed_before"))
PUT_TRADES: Final = Copy("trades", TradeRow._fields)
PUT_POSTINGS: Final = Copy("postings", (*PostingRow._fields, "time_ms"))
PUT_PREVENTED: Final = Copy("prevented", PreventedRow._fields)
PUT_AMENDMENTS: Final = Copy("amendments", AmendmentRow._fields)
PUT_TOLD: Final = statement("put_told")
PUT_DEAD: Final = Copy("dead_letter", DeadLetter._fields)
PUT_LISTS: Final = Upsert("lists", ListRow._fields, ("list_id",), status="text")
PUT_SYMBOLS: Final = Upsert("symbol_state", SymbolRow._fields, ("symbol_id",))
PUT_CANDLES: Final = Upsert("candles", CandleRow._fields, ("symbol_id", "interval_ms", "open_ms"), open="bigint")


async def put_rows(connection: Connection, sheet: Sheet) -> IntakeMissing | None:
    """Writes all rows behind the compare-and-set; returns why the ledger refuses one. Raises what asyncpg raises."""
    try:
        await mark_intake(connection, sheet)
        await _put(connection, sheet)
    except IntakeMissing as missing:
        return missing
    except TROUBLE as error:
        if not refuses_row(error):
            raise
        named = sorted(advance.part for advance in sheet.advances)
        return RowRefused(f"partitions {named}: the ledger refuses a row: {error}")
    return None


async def _put(connection: Connection, sheet: Sheet) -> None:
    if sheet.told:
        await connection.execute(PUT_TOLD, *columns_of(sheet.told))
    await change_orders(connection, sheet.touched)
    puts: tuple[tuple[Copy | Upsert, Sequence[Any]], ...] = (
        (PUT_ORDERS, sheet.orders),
        (PUT_TRADES, sheet.trades),
        (PUT_POSTINGS, sheet.postings),
        (PUT_PREVENTED, sheet.prevented),
        (PUT_AMENDMENTS, sheet.amendments),
        (PUT_LISTS, sheet.lists),
        (PUT_SYMBOLS, sheet.symbols),
        (PUT_CANDLES, sheet.candles),
        (PUT_DEAD, sheet.dead_letters),
    )
    for put, rows in puts:
        if rows:
            await put.run(connection, rows)
