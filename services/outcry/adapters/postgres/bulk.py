"""Many rows in one statement: COPY for new rows, arrays for rows that replace or change others."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from outcry.adapters.postgres.writer import Connection

Row = Sequence[Any]

SMALL: Final = ("side", "type", "tif", "stp", "status", "stage", "open", "taker_side", "mode")  # codes: smallint
INT: Final = (
    "part", "symbol_id", "asset_id", "idx", "trail_bps", "maker_ppm", "taker_ppm", "code", "rules_version",
)  # fmt: skip
TEXT: Final = ("client_order_id", "text", "client_list_id", "reason")
BYTES: Final = ("instrument", "state", "record", "body", "log_hash")


def columns_of(rows: Iterable[Row]) -> list[list[Any]]:
    """Rows as one list per column."""
    return [*map(list, zip(*rows, strict=True))]


def arrays(columns: Sequence[str], types: dict[str, str] | None = None, *, first: int = 1) -> str:
    """The parameters of ``unnest``: one array per column, of the column's type."""
    known = {**dict.fromkeys(SMALL, "smallint"), **dict.fromkeys(INT, "int"), **dict.fromkeys(TEXT, "text")}
    known |= dict.fromkeys(BYTES, "bytea") | (types or {})
    return ", ".join(f"${place}::{known.get(name, 'bigint')}[]" for place, name in enumerate(columns, first))


class Upsert:
    """Inserts rows, or replaces all columns but the key. For tables of few rows; what is new for sure is copied."""

    def __init__(self, table: str, columns: Sequence[str], key: Sequence[str], **types: str) -> None:
        changed = ", ".join(f"{name} = excluded.{name}" for name in columns if name not in key)
        self.names = ", ".join(columns)
        self.replacing = f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET {changed}"
        self._text = (
            f"INSERT INTO {table} ({self.names}) SELECT * FROM unnest({arrays(columns, types)}) {self.replacing}"
        )

    async def run(self, connection: Connection, rows: Sequence[Row]) -> None:
        await connection.execute(self._text, *columns_of(rows))


class Copy:
    """Adds rows that are new; asyncpg's COPY costs a sixth of an INSERT."""

    def __init__(self, table: str, columns: Sequence[str]) -> None:
        self.names = ", ".join(columns)
        self._table = table
        self._columns = columns

    async def run(self, connection: Connection, rows: Sequence[Row]) -> None:
        await connection.copy_records_to_table(self._table, records=rows, columns=self._columns)


def count_of(status: str) -> int:
    """How many rows a statement changed, by its command tag."""
    return int(status.rpartition(" ")[2])
