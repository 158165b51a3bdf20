"""The api's side of the ledger: holds of money and client order ids, before anything is journaled."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from outcry.adapters.keyring import KeyRing
from outcry.adapters.postgres.book import Book
from outcry.adapters.postgres.faults import DEADLOCK, UNIQUE, code_of, refuses_row
from outcry.adapters.postgres.holds import HOLD, Group, columns, grouped, results, sharing, standing_alone
from outcry.adapters.postgres.statements import statement
from outcry.adapters.postgres.turns import Turns
from outcry.claims import HELD, SHORT, HoldRequest, HoldResult, KeyClaim
from outcry.ports import Damaged, OutcomeUnknown, OutOfService
from outcry.rows import KEY_KEPT_MS, IntakeRow

MAX_TARGETS: Final = 10_000  # open orders of one account in one answer
MAX_SPLITS: Final = 8  # halvings of a batch that the database refuses
MAX_ID: Final = (1 << 63) - 1

COLUMNS: Final = ", ".join(f"i.{name}" for name in IntakeRow._fields)
FIND: Final = statement("find_targets").format(columns=COLUMNS)
OPEN: Final = f"SELECT {COLUMNS} FROM intake i WHERE open = 1 AND account_id = $1"
STORED_KEYS: Final = statement("stored_keys")
CLOSE_KEY: Final = statement("close_key")
ANSWERED: Final = (
    "UPDATE idempotency SET response = $3, expires_ms = outcry_now_ms() + $4"
    " WHERE account_id = $1 AND key = $2 AND response IS NULL"
)

Wanted = tuple[int, int, int | None, str | None]
Found = dict[int, list[HoldResult]]  # by the place of the group
Attempt = Callable[[Sequence[Group]], Awaitable[Found]]

log = logging.getLogger(__name__)


class IntakeBook(Book):
    """Keeps ``ports.IntakeLedger``."""

    async def hold(self, requests: Sequence[HoldRequest], keys: Sequence[KeyClaim] = ()) -> list[HoldResult]:
        """One statement for all that stand alone; keyed groups, and those that may fit without others, go in turn."""
        assert all(request.amount >= 0 for request in requests), "a hold cannot be negative"
        groups = grouped(requests)
        found: Found = {}
        try:
            alone = [] if keys else standing_alone(groups)
            if alone:
                found = await _split(self._together, alone, MAX_SPLITS)
            left = _undecided(groups, found)
            if left:
                found |= await _split(lambda some: self._in_turn(some, keys), left, MAX_SPLITS)
        except (OutOfService, Damaged) as error:
            _insist_on_nothing(found, error)
            raise
        return [result for group in groups for result in found[group.place]]

    async def _together(self, groups: Sequence[Group]) -> Found:
        rows = await self._database.fetch(HOLD, self._database.topic, *columns(groups), is_small=True)
        return results(groups, rows)

    async def _in_turn(self, groups: Sequence[Group], keys: Sequence[KeyClaim]) -> Found:
        async with self._database.transaction() as connection:
            return await Turns(connection, self._database.topic, groups).settle(keys)

    async def claimed(self, claim: KeyClaim) -> HoldResult | None:
        rows = await self._database.fetch(STORED_KEYS, [claim.account_id], [claim.key])
        kept = {(account, key): (payload, ids, response) for account, key, payload, ids, response, live in rows if live}
        found = KeyRing([claim], kept).refusal(claim.group, 1)
        return found[0] if found else None

    async def targets(self, wanted: Sequence[Wanted]) -> list[IntakeRow | None]:
        if not wanted:
            return []
        ids = [order_id for _, _, order_id, _ in wanted if order_id is not None and order_id <= MAX_ID]
        names = [(account, symbol, name) for account, symbol, order_id, name in wanted if order_id is None]
        accounts, symbols, texts = map(list, zip(*names, strict=True)) if names else ([], [], [])
        rows = [IntakeRow(*row) for row in await self._database.fetch(FIND, ids, accounts, symbols, texts)]
        by_id = {row.order_id: row for row in rows}
        by_name = {(row.account_id, row.symbol_id, row.client_order_id): row for row in rows}
        return [_target(by_id, by_name, each) for each in wanted]

    async def open_targets(self, account_id: int, symbol_id: int | None) -> list[IntakeRow]:
        condition, values = ("", [account_id]) if symbol_id is None else ("AND symbol_id = $2", [account_id, symbol_id])
        rows = await self._database.fetch(f"{OPEN} {condition} ORDER BY order_id LIMIT {MAX_TARGETS}", *values)
        return [IntakeRow(*row) for row in rows]

    async def store_response(self, account_id: int, key: str, response: bytes) -> None:
        await self._database.fetch(ANSWERED, account_id, key, response, KEY_KEPT_MS)

    async def close_key(self, account_id: int, key: str, after_ms: int) -> bool:
        return bool(await self._database.fetch(CLOSE_KEY, account_id, key, KEY_KEPT_MS, after_ms))


def _undecided(groups: Sequence[Group], found: Found) -> list[Group]:
    """Groups that nobody looked at yet, and those for all of which the money did not suffice, but may for some."""
    short = {place for place, own in found.items() if own[0].status == SHORT}
    if not short and len(found) == len(groups):
        return []
    again = short & sharing(groups)
    return [group for group in groups if group.place not in found or group.place in again]


async def _split(attempt: Attempt, groups: Sequence[Group], splits: int) -> Found:
    """Halves what the database refuses, never through a group, so that one client cannot spoil the batch."""
    try:
        return await attempt(groups)
    except (OutOfService, Damaged) as error:
        cause = error.__cause__ or error
        again = code_of(cause) in (UNIQUE, DEADLOCK)  # somebody else's transaction was in the way
        if splits == 0 or not (again or refuses_row(cause)):
            raise
        if len(groups) == 1 and not again:
            log.error("The database refuses a hold: %s", cause)
            return {groups[0].place: groups[0].refused(SHORT)}
    middle = len(groups) // 2
    found: Found = {}
    for half in (groups[:middle], groups[middle:]):
        if half:
            try:
                found |= await _split(attempt, half, splits - 1)
            except (OutOfService, Damaged) as error:
                _insist_on_nothing(found, error)
                raise
    return found


def _insist_on_nothing(found: Found, error: OutOfService | Damaged) -> None:
    """What is raised as "nothing was written" must be so. Raises OutcomeUnknown where something is held already."""
    if any(own[0].status == HELD for own in found.values()):
        raise OutcomeUnknown(f"A part of the holds was taken before this: {error}") from error


def _target(
    by_id: dict[int, IntakeRow], by_name: dict[tuple[int, int, str], IntakeRow], wanted: Wanted
) -> IntakeRow | None:
    """The row that fits all that was given: an id of somebody else's order is nobody's."""
    account, symbol, order_id, name = wanted
    row = by_name.get((account, symbol, name or "")) if order_id is None else by_id.get(order_id)
    if row is None or (row.account_id, row.symbol_id) != (account, symbol):
        return None
    return row if name is None or row.client_order_id == name else None
