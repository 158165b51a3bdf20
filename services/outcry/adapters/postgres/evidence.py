"""What a verification reads: rows by their place in the log, and all money at one moment."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import ARRAY, BigInteger, any_, bindparam, column, func, select, text

from outcry.adapters.postgres.book import Book
from outcry.adapters.postgres.reader import SURVEY_SECONDS, Rows
from outcry.adapters.postgres.statements import query
from outcry.adapters.postgres.tables import AMENDMENTS, DEAD_LETTERS, INTAKE, ORDERS, POSTINGS, PREVENTED
from outcry.rows import AmendmentRow, DeadLetter, IntakeRow, KeptKey, Money, PostingRow, PreventedRow, TradeRow

MAX_STRAYS: Final = 100  # reported at once

BALANCES: Final = text(query("balances_of_all"))
NEEDS: Final = text(query("needs_of_all"))
TRANSFERS: Final = text(query("transfers_by_asset"))
STRAYS: Final = text(query("strays"))

PART: Final[Any] = bindparam("part")
SINCE: Final[Any] = bindparam("since")
BEFORE: Final[Any] = bindparam("before")


def _stretch(rows: Any) -> Any:
    """The rows of a stretch of a partition's log."""
    place = rows.c.log_offset
    return select(rows).where(rows.c.part == PART, place >= SINCE, place < BEFORE).order_by(place)


LEGS: Final = _stretch(POSTINGS).order_by(POSTINGS.c.idx)
AMENDED: Final = _stretch(AMENDMENTS).order_by(AMENDMENTS.c.execution_id)
DEAD: Final = _stretch(DEAD_LETTERS).order_by(column("letter_id"))
STOPPED: Final = (
    select(PREVENTED)
    .where(PREVENTED.c.symbol_id == bindparam("symbol"))
    .where(PREVENTED.c.prevented_id.between(bindparam("first"), bindparam("last")))
    .order_by(PREVENTED.c.prevented_id)
)
OUTCOMES: Final = (
    select(func.count())
    .select_from(ORDERS)
    .where(ORDERS.c.part == PART, ORDERS.c.applied_offset >= SINCE, ORDERS.c.applied_offset < BEFORE)
)
ENTRIES: Final = select(INTAKE).where(INTAKE.c.order_id == any_(bindparam("ids", type_=ARRAY(BigInteger))))
NAMED: Final = text(query("named_trades").format(columns=", ".join(TradeRow._fields)))
KEPT: Final = text(
    "SELECT account_id, key, order_ids, response, expires_ms FROM idempotency"
    " WHERE (account_id, key) > (:account, :key) ORDER BY account_id, key LIMIT :limit"
)


class EvidenceBook(Book):
    """Keeps ``roles.engine.verify.EvidenceLedger`` with what the other books lack."""

    async def money(self) -> Money:
        """Everybody's money, from one snapshot."""
        topic = self._database.topic
        async with self._reader.snapshot(4 * SURVEY_SECONDS) as snapshot:
            balances = await snapshot.survey(BALANCES, topic=topic)
            needs = await snapshot.survey(NEEDS)
            transfers = await snapshot.survey(TRANSFERS)
            strays = await snapshot.survey(STRAYS, limit=MAX_STRAYS)
        return Money(
            [(row[0], row[1], row[2], row[3]) for row in balances],
            [(row[0], row[1], row[2]) for row in needs],
            [(row[0], row[1]) for row in transfers],
            [row[0] for row in strays],
        )

    async def postings(self, part: int, from_offset: int, to_offset: int) -> list[PostingRow]:
        """Postings of a stretch of a partition's log, in order."""
        return [PostingRow._make(row) for row in await self._stretch(LEGS, part, from_offset, to_offset)]

    async def amended(self, part: int, from_offset: int, to_offset: int) -> list[AmendmentRow]:
        """Amendments of a stretch of a partition's log, in order."""
        return [AmendmentRow._make(row) for row in await self._stretch(AMENDED, part, from_offset, to_offset)]

    async def preventions(self, symbol_id: int, first_id: int, last_id: int) -> list[PreventedRow]:
        """Matches that self-trade prevention stopped, by id, both ends included."""
        rows = await self._reader.rows(STOPPED, symbol=symbol_id, first=first_id, last=last_id)
        return [PreventedRow._make(row) for row in rows]

    async def dead_letters(self, part: int, from_offset: int, to_offset: int) -> list[DeadLetter]:
        """Bad frames and commands of a stretch of a partition's log, in order."""
        return [DeadLetter._make(row) for row in await self._stretch(DEAD, part, from_offset, to_offset)]

    async def outcomes(self, part: int, from_offset: int, to_offset: int) -> int:
        """How many orders had their first outcome there. Reads every order."""
        async with self._reader.snapshot(SURVEY_SECONDS) as snapshot:
            rows = await snapshot.survey(OUTCOMES, part=part, since=from_offset, before=to_offset)
        return int(rows[0][0])

    async def pending(self, order_ids: Sequence[int]) -> list[IntakeRow]:
        """The intake rows, of these orders, that have no outcome yet."""
        rows = await self._reader.rows(ENTRIES, ids=list(order_ids))
        return [IntakeRow._make(row) for row in rows if row.applied_offset is None]

    async def kept_keys(self, after: tuple[int, str], limit: int) -> list[KeptKey]:
        """The next Idempotency-Keys by account and key."""
        rows = await self._reader.rows(KEPT, account=after[0], key=after[1], limit=limit)
        return [KeptKey._make(row) for row in rows]

    async def named_trades(self, places: Sequence[tuple[int, int, int]]) -> list[TradeRow]:
        """Trades by symbol, id and time of log; one that is not there is left out."""
        symbols, ids, times = map(list, zip(*places, strict=True)) if places else ([], [], [])
        rows = await self._reader.rows(NAMED, symbols=symbols, ids=ids, times=times)
        return [TradeRow._make(row) for row in rows]

    async def _stretch(self, statement: Any, part: int, from_offset: int, to_offset: int) -> Rows:
        return await self._reader.rows(statement, part=part, since=from_offset, before=to_offset)
