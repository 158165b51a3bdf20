"""The ledger's tables as SQLAlchemy names them: one for each kind of row, with its columns in its order."""

from typing import Any, Final, NamedTuple, get_type_hints

from sqlalchemy import BigInteger, LargeBinary, Text, column, table
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
)

Columns = TypeEngine[Any]

TYPES: Final[dict[Any, Columns]] = {
    int: BigInteger(), int | None: BigInteger(), str: Text(), str | None: Text(), bytes: LargeBinary(),
}  # fmt: skip


def table_of(name: str, row: type[NamedTuple]) -> TableClause:
    """Integers are sent as bigint whatever their column: the indexes of narrower ones serve those too."""
    return table(name, *(column(each, TYPES[kind]) for each, kind in get_type_hints(row).items()))


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
POSTINGS: Final = table_of("postings", PostingRow)
DEAD_LETTERS: Final = table_of("dead_letter", DeadLetter)
ACCOUNTS: Final = table_of("accounts", AccountRow)
KEYS: Final = table_of("api_keys", KeyRow)
AUDIT: Final = table_of("audit", AuditRow)
PARTITIONS: Final = table_of("engine_partition", PartitionRow)
TOPIC: Final = column("topic", Text())  # of engine_partition
