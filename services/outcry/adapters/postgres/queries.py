"""What people ask about orders, lists and balances; every answer is one committed state of the primary."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import ARRAY, BigInteger, Select, and_, any_, bindparam, literal, or_, select, text

from outcry.adapters.pending import pending_order
from outcry.adapters.postgres.book import Book
from outcry.adapters.postgres.seek import FOREVER, placed_between
from outcry.adapters.postgres.statements import query
from outcry.adapters.postgres.tables import (
    AMENDMENTS,
    ASSETS,
    INTAKE,
    LISTS,
    ORDERS,
    PARTITIONS,
    PREVENTED,
    SYMBOLS,
    TOPIC,
)
from outcry.rows import (
    AmendmentRow,
    AssetRow,
    Balance,
    IntakeRow,
    ListRow,
    OrderRow,
    PartitionRow,
    PreventedRow,
    SymbolRow,
)

MAX_OPEN: Final = 100_000  # open orders in one answer
DONE: Final = "ALL_DONE"

ORDER, ENTRY, LIST, MATCH, AMEND = ORDERS.c, INTAKE.c, LISTS.c, PREVENTED.c, AMENDMENTS.c
ACCOUNT: Final[Any] = bindparam("account")
SYMBOL: Final[Any] = bindparam("symbol")
NUMBER: Final[Any] = bindparam("order")
FIRST: Final[Any] = bindparam("first")
LAST: Final[Any] = bindparam("last")
IDS: Final[Any] = any_(bindparam("ids", type_=ARRAY(BigInteger)))
LIMIT: Final[Any] = bindparam("limit")

TIMES: Final[Any] = (bindparam("since"), bindparam("until"))

# An order on its way and one that has arrived, each if there is one, in one step: the engine may move it from one
# table to the other at any moment.
ASKED: Final = select(literal(1)).subquery()


def _placed(which: Any, waiting: Any) -> Select[Any]:
    placed = select(ORDERS).where(ORDER.account_id == ACCOUNT, ORDER.symbol_id == SYMBOL, which)
    placed = placed.order_by(ORDER.order_id.desc()).limit(1)
    pending = select(INTAKE).where(
        ENTRY.account_id == ACCOUNT, ENTRY.symbol_id == SYMBOL, ENTRY.applied_offset.is_(None), waiting
    )
    one, other = placed.subquery().lateral(), pending.limit(1).subquery().lateral()
    return select(*one.c, *other.c).select_from(ASKED.outerjoin(one, literal(True)).outerjoin(other, literal(True)))


BY_ID: Final = _placed(ORDER.order_id == NUMBER, ENTRY.order_id == NUMBER)
BY_NAME: Final = _placed(
    ORDER.client_order_id == bindparam("name"), and_(ENTRY.open == 1, ENTRY.client_order_id == bindparam("name"))
)
# Of all orders those of the open intake rows, as an account has few of these and its own index for them.
OPEN: Final = (
    select(ORDERS)
    .join_from(INTAKE, ORDERS, ORDER.order_id == ENTRY.order_id)
    .where(ENTRY.open == 1, ENTRY.account_id == ACCOUNT, ORDER.open == 1)
    .order_by(ORDER.order_id)
    .limit(MAX_OPEN)
)
ALL: Final = (
    select(ORDERS)
    .where(ORDER.account_id == ACCOUNT, ORDER.symbol_id == SYMBOL, ORDER.order_id.between(FIRST, LAST))
    .where(ORDER.placed_ms.between(*TIMES))
    .limit(LIMIT)
)
BY_IDS: Final = select(ORDERS).where(ORDER.order_id == IDS).order_by(ORDER.order_id)
OF_LISTS: Final = select(ORDERS).where(ORDER.list_id == IDS, ORDER.list_id >= 0).order_by(ORDER.list_id, ORDER.order_id)
ALL_LISTS: Final = (
    select(LISTS)
    .where(LIST.account_id == ACCOUNT, LIST.list_id >= FIRST, LIST.placed_ms.between(*TIMES))
    .limit(LIMIT)
)  # fmt: skip
ONE_LIST: Final = select(LISTS).where(LIST.account_id == ACCOUNT).order_by(LIST.list_id.desc()).limit(1)
STOPPED: Final = (
    select(PREVENTED)
    .where(MATCH.account_id == ACCOUNT, MATCH.symbol_id == SYMBOL, MATCH.prevented_id >= FIRST)
    .order_by(MATCH.prevented_id)
    .limit(LIMIT)
)
STOPPED_OF: Final = STOPPED.where(or_(MATCH.maker_order == NUMBER, MATCH.taker_order == NUMBER))
AMENDED: Final = (
    select(AMENDMENTS)
    .where(AMEND.order_id == NUMBER, AMEND.execution_id >= FIRST)
    .where(AMEND.account_id == ACCOUNT, AMEND.symbol_id == SYMBOL)
    .limit(LIMIT)
)
LAST_PREVENTED: Final = text(query("last_prevented"))
BALANCES: Final = text(query("balances_of_account"))


class QueryBook(Book):
    """Keeps ``ports.QueryLedger``, except what is asked about trades."""

    async def order(
        self, account_id: int, symbol_id: int, order_id: int | None, client_order_id: str | None
    ) -> OrderRow | None:
        """By name, one still on its way has the name now, so it is newer than any that had it before."""
        which = {"name": client_order_id or ""} if order_id is None else {"order": order_id}
        statement = BY_NAME if order_id is None else BY_ID
        (row,) = await self._reader.rows(statement, account=account_id, symbol=symbol_id, **which)
        placed, pending = row[: len(ORDERS.c)], row[len(ORDERS.c) :]
        if pending[0] is not None:
            found = pending_order(IntakeRow._make(pending))
        elif placed[0] is not None:
            found = OrderRow._make(placed)
        else:
            return None
        return found if client_order_id in (None, found.client_order_id) else None

    async def open_orders(self, account_id: int, symbol_id: int | None) -> list[OrderRow]:
        if symbol_id is None:
            rows = await self._reader.rows(OPEN, account=account_id)
        else:
            rows = await self._reader.rows(OPEN.where(ENTRY.symbol_id == SYMBOL), account=account_id, symbol=symbol_id)
        return [OrderRow._make(row) for row in rows]

    async def orders(
        self, account_id: int, symbol_id: int, *, from_id: int | None, start_ms: int | None, end_ms: int | None,
        limit: int,
    ) -> list[OrderRow]:  # fmt: skip
        """In order of id: from an id or time on; the newest when neither is given."""
        newest = from_id is None and start_ms is None
        since, until = start_ms or 0, FOREVER if end_ms is None else end_ms
        first, last = from_id or 0, FOREVER
        if start_ms is not None or end_ms is not None:
            low, last = await placed_between(self._reader, (since, until))
            first = max(first, low)
        rows = await self._reader.rows(
            ALL.order_by(ORDER.order_id.desc() if newest else ORDER.order_id), account=account_id, symbol=symbol_id,
            first=first, last=last, since=since, until=until, limit=limit,
        )  # fmt: skip
        return [OrderRow._make(row) for row in (rows[::-1] if newest else rows)]

    async def orders_by_id(self, order_ids: Sequence[int]) -> list[OrderRow]:
        return [OrderRow._make(row) for row in await self._reader.rows(BY_IDS, ids=list(order_ids))]

    async def prevented(
        self, account_id: int, symbol_id: int, *, order_id: int | None = None, from_id: int | None = None,
        limit: int = 500,
    ) -> list[PreventedRow]:  # fmt: skip
        statement, which = STOPPED, {}
        if order_id is not None:
            statement, which = STOPPED_OF, {"order": order_id}
        rows = await self._reader.rows(
            statement, account=account_id, symbol=symbol_id, first=from_id or 0, limit=limit, **which
        )
        return [PreventedRow._make(row) for row in rows]

    async def amendments(
        self, account_id: int, symbol_id: int, order_id: int, *, from_id: int | None = None, limit: int = 500
    ) -> list[AmendmentRow]:
        newest = from_id is None
        rows = await self._reader.rows(
            AMENDED.order_by(AMEND.execution_id.desc() if newest else AMEND.execution_id), account=account_id,
            symbol=symbol_id, order=order_id, first=from_id or 0, limit=limit,
        )  # fmt: skip
        return [AmendmentRow._make(row) for row in (rows[::-1] if newest else rows)]

    async def last_prevented(self, order_ids: Sequence[int]) -> dict[int, int]:
        rows = await self._reader.rows(LAST_PREVENTED, ids=list(order_ids))
        return {row.order_id: row.prevented_id for row in rows if row.prevented_id is not None}

    async def order_list(self, account_id: int, list_id: int | None, client_list_id: str | None) -> ListRow | None:
        which = LIST.client_list_id == client_list_id if list_id is None else LIST.list_id == list_id
        rows = await self._reader.rows(ONE_LIST.where(which), account=account_id)
        return ListRow._make(rows[0]) if rows else None

    async def order_lists(
        self, account_id: int, *, open_only: bool, from_id: int | None = None, start_ms: int | None = None,
        end_ms: int | None = None, limit: int = 500,
    ) -> list[ListRow]:  # fmt: skip
        """In order of id: from an id or time on; the newest when neither is given."""
        newest = from_id is None and start_ms is None
        statement = ALL_LISTS.where(LIST.status != DONE) if open_only else ALL_LISTS
        rows = await self._reader.rows(
            statement.order_by(LIST.list_id.desc() if newest else LIST.list_id), account=account_id, first=from_id or 0,
            since=start_ms or 0, until=FOREVER if end_ms is None else end_ms, limit=limit,
        )  # fmt: skip
        return [ListRow._make(row) for row in (rows[::-1] if newest else rows)]

    async def list_orders(self, list_ids: Sequence[int]) -> list[OrderRow]:
        return [OrderRow._make(row) for row in await self._reader.rows(OF_LISTS, ids=list(list_ids))]

    async def balances(self, account_id: int) -> list[Balance]:
        rows = await self._reader.rows(BALANCES, account=account_id, topic=self._database.topic)
        return [Balance._make(row) for row in rows]

    async def symbols(self) -> list[SymbolRow]:
        return [SymbolRow._make(row) for row in await self._reader.rows(select(SYMBOLS).order_by(SYMBOLS.c.symbol_id))]

    async def assets(self) -> list[AssetRow]:
        return [AssetRow._make(row) for row in await self._reader.rows(select(ASSETS).order_by(ASSETS.c.asset_id))]

    async def partitions(self) -> list[PartitionRow]:
        statement = select(PARTITIONS).where(bindparam("topic") == TOPIC).order_by(PARTITIONS.c.part)
        rows = await self._reader.rows(statement, topic=self._database.topic)
        return [PartitionRow._make(row) for row in rows]
