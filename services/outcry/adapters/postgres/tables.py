"""The ledger's tables as SQLAlchemy names them: one for each kind of row, with its columns in its order."""

from typing import Any, Final, NamedTuple, get_type_hints

from sqlalchemy import BigInteger, LargeBinary, Select, Text, any_, bindparam, column, select, table
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.sql.expression import TableClause
from sqlalchemy.types import TypeEngine

from outcry.rows import (
    AccountRow,
    AmendmentRow,
    AssetRow,
    AuditRow,
    CandleRow,
    DeadLetter,
    IntakeRow,
    KeyRow,
    ListRow,
    OpeningRow,
    OrderRow,
    PartitionRow,
    PostingRow,
    PreventedRow,
    SymbolRow,
    TradeRow,
    TransferRow,
)

Columns = TypeEngine[Any]

TYPES: Final[dict[Any, Columns]] = {
    int: BigInteger(), int | None: BigInteger(), str: Text(), str | None: Text(), bytes: LargeBinary(),
}  # fmt: skip


def table_of(name: str, row: type[NamedTuple]) -> TableClause:
    """Integers are sent as bigint whatever their column: the indexes of narrower ones serve those too."""
    return table(name, *(column(each, TYPES[kind]) for each, kind in get_type_hints(row).items()))


def along(rows: TableClause, *columns: str, down: bool = False) -> Select[Any]:
    """The rows along an index: leading columns are given under their names, the last goes from ``first`` to ``last``.

    The first is given as a list of one, and is named in the order. Were it a plain equality, the planner could as well
    go along the primary key and throw away what is not wanted: quick for who has much, endless for others.
    """
    leading, *middle, last = (rows.c[name] for name in columns)
    given = bindparam(leading.name, type_=leading.type)
    order = (leading, last)
    return (
        select(rows)
        .where(leading == any_(array([given])), *(each == bindparam(each.name) for each in middle))
        .where(last.between(bindparam("first"), bindparam("last")))
        .order_by(*(each.desc() if down else each for each in order))
        .limit(bindparam("limit"))
    )


ORDERS: Final = table_of("orders", OrderRow)
INTAKE: Final = table_of("intake", IntakeRow)
TRADES: Final = table_of("trades", TradeRow)
CANDLES: Final = table_of("candles", CandleRow)
LISTS: Final = table_of("lists", ListRow)
PREVENTED: Final = table_of("prevented", PreventedRow)
AMENDMENTS: Final = table_of("amendments", AmendmentRow)
OPENINGS: Final = table_of("openings", OpeningRow)
SYMBOLS: Final = table_of("symbol_state", SymbolRow)
ASSETS: Final = table_of("assets", AssetRow)
TRANSFERS: Final = table_of("transfers", TransferRow)
POSTINGS: Final = table_of("postings", PostingRow)
DEAD_LETTERS: Final = table_of("dead_letter", DeadLetter)
ACCOUNTS: Final = table_of("accounts", AccountRow)
KEYS: Final = table_of("api_keys", KeyRow)
AUDIT: Final = table_of("audit", AuditRow)
PARTITIONS: Final = table_of("engine_partition", PartitionRow)
TOPIC: Final = column("topic", Text())  # of engine_partition
