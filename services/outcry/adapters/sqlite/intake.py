"""The api's side of the ledger: holds of money and client order ids, before anything is journaled."""

import json
import operator
import sqlite3
from collections.abc import Sequence
from itertools import groupby

from outcry.adapters.sqlite.bulk import Row, as_json, insert
from outcry.adapters.sqlite.claims import Claims
from outcry.adapters.sqlite.file import OnFile
from outcry.adapters.sqlite.rowtext import INTAKE, INTAKE_TEXT, read_ids, read_intake
from outcry.adapters.sqlite.writer import Work
from outcry.claims import DUPLICATE, HELD, SHORT, HoldRequest, HoldResult, KeyClaim
from outcry.rows import KEY_KEPT_MS, IntakeRow

MAX_TARGETS = 10_000  # open orders of one account in one answer

Name = tuple[int, int, str]  # (account id, symbol id, client order id)

_group = operator.attrgetter("group")
_name = operator.itemgetter(*(HoldRequest._fields.index(f) for f in ("account_id", "symbol_id", "client_order_id")))
_pocket = operator.itemgetter(*(HoldRequest._fields.index(f) for f in ("account_id", "asset_id")))

PUT_INTAKE = insert("intake", INTAKE, "ON CONFLICT (account_id, symbol_id, client_order_id) WHERE open = 1 DO NOTHING")


class IntakeBook(OnFile):
    """Keeps ``ports.IntakeLedger``."""

    async def hold(self, requests: Sequence[HoldRequest], keys: Sequence[KeyClaim] = ()) -> list[HoldResult]:
        if not requests:
            return []
        return await self._writer.do(lambda work: Batch(work, requests, keys).settle())

    async def claimed(self, claim: KeyClaim) -> HoldResult | None:
        found = await self._writer.do(lambda work: Claims(work, [claim]).refusal(claim.group, 1))
        return found[0] if found else None

    async def targets(self, wanted: Sequence[tuple[int, int, int | None, str | None]]) -> list[IntakeRow | None]:
        if not wanted:
            return []
        rows = await self._reader.ask(lambda db: _find(db, wanted))
        by_id = {row.order_id: row for row in rows}
        by_name = {(row.account_id, row.symbol_id, row.client_order_id): row for row in rows}
        return [_target(by_id, by_name, each) for each in wanted]

    async def open_targets(self, account_id: int, symbol_id: int | None) -> list[IntakeRow]:
        condition = "" if symbol_id is None else "AND symbol_id = ?"
        query = as_json(
            INTAKE_TEXT,
            f"FROM intake INDEXED BY intake_open WHERE open = 1 AND account_id = ? {condition}"
            f" ORDER BY order_id LIMIT {MAX_TARGETS}",
        )
        values = (account_id,) if symbol_id is None else (account_id, symbol_id)
        return await self._reader.ask(lambda db: read_intake(db.execute(query, values).fetchone()[0]))

    async def store_response(self, account_id: int, key: str, response: bytes) -> None:
        await self._writer.do(
            lambda work: (
                work.db.execute(
                    "UPDATE idempotency SET response = ?, expires_ms = ?"
                    " WHERE account_id = ? AND key = ? AND response IS NULL",
                    (response, work.now_ms + KEY_KEPT_MS, account_id, key),
                ).rowcount
            )
        )

    async def close_key(self, account_id: int, key: str, after_ms: int) -> bool:
        return await self._writer.do(
            lambda work: (
                work.db.execute(
                    "UPDATE idempotency SET claimant = '' WHERE account_id = ? AND key = ? AND expires_ms <= ?",
                    (account_id, key, work.now_ms + KEY_KEPT_MS - after_ms),
                ).rowcount
                > 0
            )
        )


class Batch:
    """One micro-batch of requests: ids are looked at first, then money, groups together or not at all."""

    def __init__(self, work: Work, requests: Sequence[HoldRequest], keys: Sequence[KeyClaim]) -> None:
        self._work = work
        self._requests = requests
        self._groups = [(group, list(own)) for group, own in groupby(requests, _group)]
        self._claims = Claims(work, keys)
        self._first_ids = work.memory.next_ids(work.db)
        fences = work.memory.fences(work.db)
        self._since_ms = {part: max(work.now_ms, fence.log_time) for part, fence in fences.items()}

    def settle(self) -> list[HoldResult]:
        """One result per request, in their order.

        Nobody's client order id is expected to be taken. When one is (the table's unique index says so), or
        when money is short, the batch is taken back and decided once more with the taken ids known.
        """
        work = self._work
        work.memory.purse.load(work.db, map(_pocket, self._requests))
        mark = work.memory.purse.mark()
        rows = self._decide({})
        put = PUT_INTAKE.run(work.db, rows) if rows else 0
        if put < len(rows) or any(result.status == SHORT for result in self._results):
            work.memory.purse.undo(mark)
            work.db.execute("DELETE FROM intake WHERE order_id >= ?", (self._first_ids[0],))
            rows = self._decide(self._taken())
            put = PUT_INTAKE.run(work.db, rows) if rows else 0
            assert put == len(rows)
        self._claims.write()
        return self._results

    def _decide(self, known: dict[Name, None]) -> list[Row]:
        """Results for all, and the intake rows of those that are held. ``known`` are the taken ids; it grows."""
        self._results: list[HoldResult] = []
        rows: list[Row] = []
        self._claims.restart()
        self._next_order, self._next_list = self._first_ids
        for group, requests in self._groups:
            refused = self._claims.refusal(group, len(requests))
            if refused is None and (status := self._take(requests, known)) != HELD:
                refused = [HoldResult(status)] * len(requests)
            if refused is not None:
                self._results += refused
                continue
            self._claims.note(group, range(self._next_order, self._next_order + len(requests)))
            self._enter(requests, rows)
        self._work.memory.set_next_ids(self._next_order, self._next_list)
        return rows

    def _take(self, requests: list[HoldRequest], known: dict[Name, None]) -> str:
        """Moves the money of one group from free to held, if its ids are new and all of it is there."""
        names = [*map(_name, requests)]
        if not known.keys().isdisjoint(names) or (len(names) > 1 and len({*names}) < len(names)):
            return DUPLICATE
        purse = self._work.memory.purse
        mark = purse.mark()
        for request in requests:
            if not purse.hold(_pocket(request), request.amount):
                purse.undo(mark)
                return SHORT
        for name in names:
            known[name] = None
        return HELD

    def _enter(self, requests: list[HoldRequest], rows: list[Row]) -> None:
        """Adds a held group's rows, column for column as in ``IntakeRow``, and results."""
        now_ms = self._work.now_ms
        list_id = self._next_list if requests[0].in_list else -1
        for part, account, symbol, asset, amount, name, window, body, _, _ in requests:
            order_id, until = self._next_order, self._since_ms.get(part, now_ms) + window
            # The NULLs: no outcome yet, and no cancel before it.
            rows.append((
                order_id, part, account, symbol, asset, amount, name, body, now_ms, until, None, None, list_id, 1,
            ))  # fmt: skip
            self._results.append(HoldResult(HELD, order_id, now_ms, until, list_id))
            self._next_order = order_id + 1
        if requests[0].in_list:
            self._next_list += 1

    def _taken(self) -> dict[Name, None]:
        names = [*map(_name, self._requests)]
        found = self._work.db.execute(
            "SELECT account_id, symbol_id, client_order_id FROM json_each(?) AS wanted JOIN intake"
            " ON open = 1 AND account_id = json_extract(wanted.value, '$[0]')"
            " AND symbol_id = json_extract(wanted.value, '$[1]')"
            " AND client_order_id = json_extract(wanted.value, '$[2]')",
            (json.dumps(names),),
        ).fetchall()
        return dict.fromkeys(found)


FIND = as_json(INTAKE_TEXT, "FROM intake WHERE open = 1 AND order_id IN (SELECT value FROM json_each(?))")
NAMED = (
    "SELECT json_group_array(order_id) FROM json_each(?) AS wanted JOIN intake INDEXED BY intake_open"
    " ON open = 1 AND account_id = json_extract(wanted.value, '$[0]')"
    " AND symbol_id = json_extract(wanted.value, '$[1]')"
    " AND client_order_id = json_extract(wanted.value, '$[2]')"
)


def _find(db: sqlite3.Connection, wanted: Sequence[tuple[int, int, int | None, str | None]]) -> list[IntakeRow]:
    ids = [order_id for _, _, order_id, _ in wanted if order_id is not None]
    names = [(account, symbol, name) for account, symbol, order_id, name in wanted if order_id is None]
    if names:
        ids += read_ids(db.execute(NAMED, (json.dumps(names),)).fetchone()[0])
    return read_intake(db.execute(FIND, (json.dumps(ids),)).fetchone()[0])


def _target(
    by_id: dict[int, IntakeRow], by_name: dict[Name, IntakeRow], wanted: tuple[int, int, int | None, str | None]
) -> IntakeRow | None:
    """The row that fits all that was given: an id of somebody else's order is nobody's."""
    account, symbol, order_id, name = wanted
    row = by_name.get((account, symbol, name or "")) if order_id is None else by_id.get(order_id)
    if row is None or (row.account_id, row.symbol_id) != (account, symbol):
        return None
    return row if name is None or row.client_order_id == name else None
