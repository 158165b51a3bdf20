"""What people ask about orders, trades and balances; every answer is one snapshot."""

import json
import sqlite3
from collections.abc import Sequence

from outcry.adapters.pending import pending_order
from outcry.adapters.sqlite.bulk import as_json
from outcry.adapters.sqlite.file import OnFile
from outcry.adapters.sqlite.rowtext import (
    AMENDMENT,
    INTAKE_TEXT,
    LIST,
    ORDER,
    PARTITION,
    PREVENTED,
    SYMBOL,
    read_amendments,
    read_intake,
    read_lists,
    read_orders,
    read_prevented,
)
from outcry.adapters.sqlite.seek import placed_between
from outcry.adapters.sqlite.statements import statement
from outcry.facts import GivenUp
from outcry.rows import (
    AmendmentRow,
    AssetRow,
    Balance,
    ListRow,
    OrderRow,
    PartitionRow,
    PreventedRow,
    SymbolRow,
    TransferRow,
)

FOREVER = 1 << 62
MAX_OPEN = 100_000  # open orders in one answer

ORDER_BY_ID = as_json(ORDER, "FROM orders WHERE order_id = ? AND account_id = ? AND symbol_id = ?")
TRANSFERS_BEHIND = (
    "SELECT transfer_id, time_ms, account_id, asset_id, amount FROM transfers"
    " WHERE transfer_id > ? AND account_id IN (SELECT value FROM json_each(?)) ORDER BY transfer_id LIMIT ?"
)
GIVEN_UP_BEHIND = (
    f"SELECT voided.number, {','.join(f'orders.{name}' for name in ORDER)} FROM voided JOIN orders USING (order_id)"
    " WHERE voided.number > ? AND voided.account_id IN (SELECT value FROM json_each(?)) ORDER BY voided.number LIMIT ?"
)
NEWEST_BY_NAME = statement("newest_order_by_name")
PENDING_BY_ID = as_json(
    INTAKE_TEXT, "FROM intake WHERE order_id = ? AND account_id = ? AND symbol_id = ? AND applied_offset IS NULL"
)
PENDING_BY_NAME = as_json(
    INTAKE_TEXT,
    "FROM intake INDEXED BY intake_open WHERE open = 1 AND account_id = ? AND client_order_id = ? AND symbol_id = ?"
    " AND applied_offset IS NULL",
)
ORDERS_BY_ID = as_json(ORDER, "FROM orders WHERE order_id IN (SELECT value FROM json_each(?)) ORDER BY order_id")
LIST_ORDERS = as_json(
    ORDER,
    "FROM orders WHERE list_id IN (SELECT value FROM json_each(?)) AND list_id >= 0 ORDER BY list_id, order_id",
)
BALANCES = statement("balances_of_account")
LAST_PREVENTED = statement("last_prevented")


class QueryBook(OnFile):
    """Keeps ``ports.QueryLedger``, except what is asked about trades."""

    async def order(
        self, account_id: int, symbol_id: int, order_id: int | None, client_order_id: str | None
    ) -> OrderRow | None:
        if order_id is None:
            return await self._reader.ask(lambda db: _order_by_name(db, (account_id, client_order_id or "", symbol_id)))
        found = await self._reader.ask(lambda db: _order_by_id(db, (order_id, account_id, symbol_id)))
        return found if found is None or client_order_id in (None, found.client_order_id) else None

    async def open_orders(self, account_id: int, symbol_id: int | None) -> list[OrderRow]:
        condition = "" if symbol_id is None else "AND symbol_id = ?"
        query = as_json(
            ORDER,
            f"FROM orders INDEXED BY orders_open WHERE open = 1 AND account_id = ? {condition}"
            f" ORDER BY order_id LIMIT {MAX_OPEN}",
        )
        values = (account_id,) if symbol_id is None else (account_id, symbol_id)
        return await self._reader.ask(lambda db: read_orders(db.execute(query, values).fetchone()[0]))

    async def orders(
        self, account_id: int, symbol_id: int, *, from_id: int | None, start_ms: int | None, end_ms: int | None,
        limit: int,
    ) -> list[OrderRow]:  # fmt: skip
        """In order of id: from an id or time on; the newest when neither is given."""
        newest = from_id is None and start_ms is None
        query = as_json(
            ORDER,
            "FROM orders INDEXED BY orders_of_account"
            " WHERE account_id = ? AND symbol_id = ? AND order_id BETWEEN ? AND ?"
            f" AND placed_ms BETWEEN ? AND ? ORDER BY order_id {'DESC' if newest else 'ASC'} LIMIT ?",
        )
        times = (start_ms or 0, FOREVER if end_ms is None else end_ms)

        def ask(db: sqlite3.Connection) -> list[OrderRow]:
            first, last = (from_id or 0, FOREVER)
            if start_ms is not None or end_ms is not None:
                low, last = placed_between(db, *times)
                first = max(first, low)
            values = (account_id, symbol_id, first, last, *times, limit)
            return read_orders(db.execute(query, values).fetchone()[0])

        rows = await self._reader.ask(ask)
        return rows[::-1] if newest else rows

    async def orders_by_id(self, order_ids: Sequence[int]) -> list[OrderRow]:
        ids = json.dumps(list(order_ids))
        return await self._reader.ask(lambda db: read_orders(db.execute(ORDERS_BY_ID, (ids,)).fetchone()[0]))

    async def prevented(
        self, account_id: int, symbol_id: int, *, order_id: int | None = None, from_id: int | None = None,
        limit: int = 500,
    ) -> list[PreventedRow]:  # fmt: skip
        condition = "" if order_id is None else "AND :order IN (maker_order, taker_order)"
        query = as_json(
            PREVENTED,
            "FROM prevented WHERE account_id = :account AND symbol_id = :symbol AND prevented_id >= :first"
            f" {condition} ORDER BY prevented_id LIMIT :limit",
        )
        values = {"account": account_id, "symbol": symbol_id, "first": from_id or 0, "limit": limit, "order": order_id}
        return await self._reader.ask(lambda db: read_prevented(db.execute(query, values).fetchone()[0]))

    async def amendments(
        self, account_id: int, symbol_id: int, order_id: int, *, from_id: int | None = None, limit: int = 500
    ) -> list[AmendmentRow]:
        newest = from_id is None
        query = as_json(
            AMENDMENT,
            "FROM amendments INDEXED BY amendments_of_order WHERE order_id = ? AND execution_id >= ? AND account_id = ?"
            f" AND symbol_id = ? ORDER BY execution_id {'DESC' if newest else 'ASC'} LIMIT ?",
        )
        values = (order_id, from_id or 0, account_id, symbol_id, limit)
        rows = await self._reader.ask(lambda db: read_amendments(db.execute(query, values).fetchone()[0]))
        return rows[::-1] if newest else rows

    async def last_prevented(self, order_ids: Sequence[int]) -> dict[int, int]:
        ids = json.dumps(list(order_ids))
        pairs = await self._reader.ask(lambda db: json.loads(db.execute(LAST_PREVENTED, (ids,)).fetchone()[0]))
        return {order_id: prevented_id for order_id, prevented_id in pairs if prevented_id}

    async def order_list(self, account_id: int, list_id: int | None, client_list_id: str | None) -> ListRow | None:
        column, value = ("client_list_id", client_list_id) if list_id is None else ("list_id", list_id)
        query = as_json(LIST, f"FROM lists WHERE account_id = ? AND {column} = ? ORDER BY list_id DESC LIMIT 1")
        values = (account_id, value)
        found = await self._reader.ask(lambda db: read_lists(db.execute(query, values).fetchone()[0]))
        return found[0] if found else None

    async def order_lists(
        self, account_id: int, *, open_only: bool, from_id: int | None = None, start_ms: int | None = None,
        end_ms: int | None = None, limit: int = 500,
    ) -> list[ListRow]:  # fmt: skip
        """In order of id: from an id or time on; the newest when neither is given."""
        newest = from_id is None and start_ms is None
        query = as_json(
            LIST,
            "FROM lists WHERE account_id = ? AND list_id >= ? AND placed_ms BETWEEN ? AND ?"
            f" {'''AND status <> 'ALL_DONE' ''' if open_only else ''}"
            f" ORDER BY list_id {'DESC' if newest else 'ASC'} LIMIT ?",
        )
        values = (account_id, from_id or 0, start_ms or 0, FOREVER if end_ms is None else end_ms, limit)
        rows = await self._reader.ask(lambda db: read_lists(db.execute(query, values).fetchone()[0]))
        return rows[::-1] if newest else rows

    async def list_orders(self, list_ids: Sequence[int]) -> list[OrderRow]:
        ids = json.dumps(list(list_ids))
        return await self._reader.ask(lambda db: read_orders(db.execute(LIST_ORDERS, (ids,)).fetchone()[0]))

    async def balances(self, account_id: int) -> list[Balance]:
        values = {"account": account_id}
        return await self._reader.ask(lambda db: [Balance(*row) for row in db.execute(BALANCES, values).fetchall()])

    async def symbols(self) -> list[SymbolRow]:
        text = f"SELECT {','.join(SYMBOL)} FROM symbol_state ORDER BY symbol_id"
        return await self._reader.ask(lambda db: [SymbolRow(*row) for row in db.execute(text).fetchall()])

    async def assets(self) -> list[AssetRow]:
        text = "SELECT asset_id, asset FROM assets ORDER BY asset_id"
        return await self._reader.ask(lambda db: [AssetRow(*row) for row in db.execute(text).fetchall()])

    async def partitions(self) -> list[PartitionRow]:
        text = f"SELECT {','.join(PARTITION)} FROM engine_partition ORDER BY part"
        return await self._reader.ask(lambda db: [PartitionRow(*row) for row in db.execute(text).fetchall()])

    async def newest_transfer(self) -> int:
        text = "SELECT coalesce(max(transfer_id), 0) FROM transfers"
        return int(await self._reader.ask(lambda db: db.execute(text).fetchone()[0]))

    async def transfers(self, account_ids: Sequence[int], after: int, limit: int) -> list[TransferRow]:
        wanted = (after, json.dumps(list(account_ids)), limit)
        return await self._reader.ask(lambda db: [TransferRow(*row) for row in db.execute(TRANSFERS_BEHIND, wanted)])

    async def newest_given_up(self) -> int:
        text = "SELECT coalesce(max(number), 0) FROM voided"
        return int(await self._reader.ask(lambda db: db.execute(text).fetchone()[0]))

    async def given_up(self, account_ids: Sequence[int], after: int, limit: int) -> list[GivenUp]:
        wanted = (after, json.dumps(list(account_ids)), limit)
        rows = await self._reader.ask(lambda db: db.execute(GIVEN_UP_BEHIND, wanted).fetchall())
        return [GivenUp(number=number, order=OrderRow(*order)) for number, *order in rows]


def _order_by_id(db: sqlite3.Connection, wanted: tuple[int, int, int]) -> OrderRow | None:
    found = read_orders(db.execute(ORDER_BY_ID, wanted).fetchone()[0])
    if found:
        return found[0]
    pending = read_intake(db.execute(PENDING_BY_ID, wanted).fetchone()[0])
    return pending_order(pending[0]) if pending else None


def _order_by_name(db: sqlite3.Connection, wanted: tuple[int, str, int]) -> OrderRow | None:
    """One still on its way has the name now, so it is newer than any that had it before."""
    pending = read_intake(db.execute(PENDING_BY_NAME, wanted).fetchone()[0])
    if pending:
        return pending_order(pending[0])
    named = {"account": wanted[0], "name": wanted[1], "symbol": wanted[2]}
    row = db.execute(NEWEST_BY_NAME, named).fetchone()
    return read_orders(db.execute(ORDERS_BY_ID, (f"[{row[0]}]",)).fetchone()[0])[0] if row else None
