"""What people ask about orders, lists and balances; every answer is one committed state of the primary."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Select,
    and_,
    any_,
    bindparam,
    column,
    func,
    literal,
    select,
    table,
    text,
    union,
)
from sqlalchemy.dialects.postgresql import array

from outcry.adapters.pending import pending_order
from outcry.adapters.postgres.book import Book
from outcry.adapters.postgres.database import Database
from outcry.adapters.postgres.reader import MAX_WAITING
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
    TRANSFERS,
    along,
)
from outcry.facts import GivenUp
from outcry.ports import OutOfService
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
    TransferRow,
)
from outcry.shuttle import Crowded, Shuttle

MAX_OPEN: Final = 100_000  # open orders in one answer
PURSES: Final = 500  # accounts whose balances are read together

ORDER, ENTRY, LIST, MATCH, AMEND = ORDERS.c, INTAKE.c, LISTS.c, PREVENTED.c, AMENDMENTS.c
ACCOUNT: Final[Any] = bindparam("account_id", type_=BigInteger)
SYMBOL: Final[Any] = bindparam("symbol_id")
NUMBER: Final[Any] = bindparam("order_id")
NAME: Final[Any] = bindparam("client_order_id")
TIMES: Final[Any] = (bindparam("since"), bindparam("until"))
IDS: Final[Any] = any_(bindparam("ids", type_=ARRAY(BigInteger)))

TRANSFERS_BEHIND: Final = (
    select(TRANSFERS)
    .where(TRANSFERS.c.transfer_id > bindparam("after"), TRANSFERS.c.account_id == IDS)
    .order_by(TRANSFERS.c.transfer_id)
    .limit(bindparam("limit"))
)

VOIDED: Final = table("voided", *(column(name, BigInteger) for name in ("number", "account_id", "order_id")))
GIVEN_UP_BEHIND: Final = (
    select(VOIDED.c.number, ORDERS)
    .join(ORDERS, ORDERS.c.order_id == VOIDED.c.order_id)
    .where(VOIDED.c.number > bindparam("after"), VOIDED.c.account_id == IDS)
    .order_by(VOIDED.c.number)
    .limit(bindparam("limit"))
)

# The conditions of indexes, in their own words: with a parameter no plan can use them.
OPEN_ORDER, OPEN_ENTRY = text("orders.open = 1"), text("intake.open = 1")
IN_A_LIST, LIST_RUNS = text("orders.list_id >= 0"), text("lists.status <> 'ALL_DONE'")

ONE_STEP: Final = select(literal(1)).subquery()


def _placed(arrived: Select[Any], waiting: Any) -> Select[Any]:
    """An order that has arrived and one on its way, each if there is one: the engine moves them at any moment.

    Whether an order is still on its way is not asked here, lest the planner goes through all that are.
    """
    pending = select(INTAKE).where(ENTRY.account_id == ACCOUNT, ENTRY.symbol_id == SYMBOL, waiting).limit(1)
    one, other = arrived.subquery().lateral(), pending.subquery().lateral()
    return select(*one.c, *other.c).select_from(ONE_STEP.outerjoin(one, literal(True)).outerjoin(other, literal(True)))


BY_ID: Final = _placed(
    select(ORDERS).where(ORDER.order_id == NUMBER, ORDER.account_id == ACCOUNT, ORDER.symbol_id == SYMBOL).limit(1),
    ENTRY.order_id == NUMBER,
)
BY_NAME: Final = _placed(
    along(ORDERS, "client_order_id", "account_id", "symbol_id", "order_id", down=True),
    and_(OPEN_ENTRY, ENTRY.client_order_id == NAME),
)
# Of all orders those of the open intake rows, as an account has few of these and an index of its own for them, along
# which the order of the rows and the list of one account lead (see ``along``).
OPEN: Final = (
    select(ORDERS)
    .join_from(INTAKE, ORDERS, ORDER.order_id == ENTRY.order_id)
    .where(OPEN_ENTRY, ENTRY.account_id == any_(array([ACCOUNT])), OPEN_ORDER)
    .order_by(ENTRY.account_id, ENTRY.symbol_id, ENTRY.client_order_id)
    .limit(MAX_OPEN)
)
OPEN_OF_SYMBOL: Final = OPEN.where(ENTRY.symbol_id == SYMBOL)
ALL_UP, ALL_DOWN = (
    along(ORDERS, "account_id", "symbol_id", "order_id", down=down).where(ORDER.placed_ms.between(*TIMES))
    for down in (False, True)
)
BY_IDS: Final = select(ORDERS).where(ORDER.order_id == IDS).order_by(ORDER.order_id)
OF_LISTS: Final = select(ORDERS).where(ORDER.list_id == IDS, IN_A_LIST).order_by(ORDER.list_id, ORDER.order_id)
LISTS_UP, LISTS_DOWN = (
    along(LISTS, "account_id", "list_id", down=down).where(LIST.placed_ms.between(*TIMES)) for down in (False, True)
)
ONE_LIST: Final = select(LISTS).where(LIST.account_id == ACCOUNT, LIST.list_id == bindparam("list_id"))
NAMED_LIST: Final = along(LISTS, "account_id", "client_list_id", "list_id", down=True)
STOPPED: Final = along(PREVENTED, "account_id", "symbol_id", "prevented_id")
STOPPED_OF: Final = (
    union(*(
        select(PREVENTED)
        .where(side == NUMBER, MATCH.account_id == ACCOUNT, MATCH.symbol_id == SYMBOL)
        .where(MATCH.prevented_id.between(bindparam("first"), bindparam("last")))
        for side in (MATCH.maker_order, MATCH.taker_order)
    ))
    .order_by("prevented_id")
    .limit(bindparam("limit"))
)  # fmt: skip
AMENDED_UP, AMENDED_DOWN = (
    along(AMENDMENTS, "order_id", "execution_id", down=down).where(
        AMEND.account_id == ACCOUNT, AMEND.symbol_id == SYMBOL
    )
    for down in (False, True)
)
LAST_PREVENTED: Final = text(query("last_prevented"))
BALANCES: Final = text(query("balances_of_accounts"))


class QueryBook(Book):
    """Keeps ``ports.QueryLedger``, except what is asked about trades."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._purses = Shuttle(self._balances_of, seats=PURSES, waiting=MAX_WAITING)

    async def order(
        self, account_id: int, symbol_id: int, order_id: int | None, client_order_id: str | None
    ) -> OrderRow | None:
        """By name, one still on its way has the name now, so it is newer than any that had it before."""
        own: dict[str, Any] = {"account_id": account_id, "symbol_id": symbol_id}
        if order_id is None:
            named = {**own, "client_order_id": client_order_id or "", "first": 0, "last": FOREVER, "limit": 1}
            (row,) = await self._reader.rows(BY_NAME, **named)
        else:
            (row,) = await self._reader.rows(BY_ID, **own, order_id=order_id)
        found = _newest(row[: len(ORDER)], row[len(ORDER) :])
        return found if found is None or client_order_id in (None, found.client_order_id) else None

    async def open_orders(self, account_id: int, symbol_id: int | None) -> list[OrderRow]:
        if symbol_id is None:
            rows = await self._reader.rows(OPEN, account_id=account_id)
        else:
            rows = await self._reader.rows(OPEN_OF_SYMBOL, account_id=account_id, symbol_id=symbol_id)
        return sorted(OrderRow._make(row) for row in rows)

    async def orders(
        self, account_id: int, symbol_id: int, *, from_id: int | None, start_ms: int | None, end_ms: int | None,
        limit: int,
    ) -> list[OrderRow]:  # fmt: skip
        """In order of id: from an id or time on; the newest when neither is given."""
        newest = from_id is None and start_ms is None
        times = since, until = start_ms or 0, FOREVER if end_ms is None else end_ms
        first, last = await placed_between(self._reader, times)
        rows = await self._reader.rows(
            ALL_DOWN if newest else ALL_UP, account_id=account_id, symbol_id=symbol_id, first=max(first, from_id or 0),
            last=last, since=since, until=until, limit=limit,
        )  # fmt: skip
        return [OrderRow._make(row) for row in (rows[::-1] if newest else rows)]

    async def orders_by_id(self, order_ids: Sequence[int]) -> list[OrderRow]:
        return [OrderRow._make(row) for row in await self._reader.rows(BY_IDS, ids=list(order_ids))]

    async def prevented(
        self, account_id: int, symbol_id: int, *, order_id: int | None = None, from_id: int | None = None,
        limit: int = 500,
    ) -> list[PreventedRow]:  # fmt: skip
        which = {} if order_id is None else {"order_id": order_id}
        rows = await self._reader.rows(
            STOPPED if order_id is None else STOPPED_OF, account_id=account_id, symbol_id=symbol_id,
            first=from_id or 0, last=FOREVER, limit=limit, **which,
        )  # fmt: skip
        return [PreventedRow._make(row) for row in rows]

    async def amendments(
        self, account_id: int, symbol_id: int, order_id: int, *, from_id: int | None = None, limit: int = 500
    ) -> list[AmendmentRow]:
        newest = from_id is None
        rows = await self._reader.rows(
            AMENDED_DOWN if newest else AMENDED_UP, account_id=account_id, symbol_id=symbol_id, order_id=order_id,
            first=from_id or 0, last=FOREVER, limit=limit,
        )  # fmt: skip
        return [AmendmentRow._make(row) for row in (rows[::-1] if newest else rows)]

    async def last_prevented(self, order_ids: Sequence[int]) -> dict[int, int]:
        rows = await self._reader.rows(LAST_PREVENTED, ids=list(order_ids))
        return {row.order_id: row.prevented_id for row in rows if row.prevented_id is not None}

    async def order_list(self, account_id: int, list_id: int | None, client_list_id: str | None) -> ListRow | None:
        if list_id is None:
            named = {
                "account_id": account_id,
                "client_list_id": client_list_id,
                "first": 0,
                "last": FOREVER,
                "limit": 1,
            }
            rows = await self._reader.rows(NAMED_LIST, **named)
        else:
            rows = await self._reader.rows(ONE_LIST, account_id=account_id, list_id=list_id)
        return ListRow._make(rows[0]) if rows else None

    async def order_lists(
        self, account_id: int, *, open_only: bool, from_id: int | None = None, start_ms: int | None = None,
        end_ms: int | None = None, limit: int = 500,
    ) -> list[ListRow]:  # fmt: skip
        """In order of id: from an id or time on; the newest when neither is given."""
        newest = from_id is None and start_ms is None
        statement = LISTS_DOWN if newest else LISTS_UP
        rows = await self._reader.rows(
            statement.where(LIST_RUNS) if open_only else statement, account_id=account_id,
            first=from_id or 0, last=FOREVER, since=start_ms or 0, until=FOREVER if end_ms is None else end_ms,
            limit=limit,
        )  # fmt: skip
        return [ListRow._make(row) for row in (rows[::-1] if newest else rows)]

    async def list_orders(self, list_ids: Sequence[int]) -> list[OrderRow]:
        return [OrderRow._make(row) for row in await self._reader.rows(OF_LISTS, ids=list(list_ids))]

    async def balances(self, account_id: int) -> list[Balance]:
        """Accounts that are asked for while others are read are read together afterwards."""
        try:
            return await self._purses.ask(account_id)
        except Crowded as crowded:
            raise OutOfService(f"Too many questions for balances: {crowded}") from crowded

    async def _balances_of(self, account_ids: Sequence[int]) -> list[list[Balance]]:
        found: dict[int, list[Balance]] = {account_id: [] for account_id in account_ids}
        rows = await self._reader.rows(BALANCES, ids=[*found], topic=self._database.topic)
        for account_id, *money in sorted(rows):
            found[account_id].append(Balance._make(money))
        return [[*found[account_id]] for account_id in account_ids]

    async def symbols(self) -> list[SymbolRow]:
        return [SymbolRow._make(row) for row in await self._reader.rows(select(SYMBOLS).order_by(SYMBOLS.c.symbol_id))]

    async def assets(self) -> list[AssetRow]:
        return [AssetRow._make(row) for row in await self._reader.rows(select(ASSETS).order_by(ASSETS.c.asset_id))]

    async def partitions(self) -> list[PartitionRow]:
        statement = select(PARTITIONS).where(bindparam("topic") == TOPIC).order_by(PARTITIONS.c.part)
        rows = await self._reader.rows(statement, topic=self._database.topic)
        return [PartitionRow._make(row) for row in rows]

    async def clock_ms(self) -> int:
        """The database's clock."""
        ((now_ms,),) = await self._reader.rows(select(func.outcry_now_ms()))
        return int(now_ms)

    async def newest_transfer(self) -> int:
        ((newest,),) = await self._reader.rows(select(func.coalesce(func.max(TRANSFERS.c.transfer_id), 0)))
        return int(newest)

    async def transfers(self, account_ids: Sequence[int], after: int, limit: int) -> list[TransferRow]:
        rows = await self._reader.rows(TRANSFERS_BEHIND, ids=list(account_ids), after=after, limit=limit)
        return [TransferRow._make(row) for row in rows]

    async def newest_given_up(self) -> int:
        ((newest,),) = await self._reader.rows(select(func.coalesce(func.max(VOIDED.c.number), 0)))
        return int(newest)

    async def given_up(self, account_ids: Sequence[int], after: int, limit: int) -> list[GivenUp]:
        rows = await self._reader.rows(GIVEN_UP_BEHIND, ids=list(account_ids), after=after, limit=limit)
        return [GivenUp(number=number, order=OrderRow._make(order)) for number, *order in rows]


def _newest(arrived: Sequence[Any], entry: Sequence[Any]) -> OrderRow | None:
    """The order on its way if it has no outcome yet, else the one that has arrived. Rows that are none are all None."""
    if entry[0] is not None:
        waiting = IntakeRow._make(entry)
        if waiting.applied_offset is None:
            return pending_order(waiting)
    return None if arrived[0] is None else OrderRow._make(arrived)
