"""Accounts, keys, assets, deposits and withdrawals; whoever changed them stands in the audit log."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import ARRAY, BigInteger, Text, any_, bindparam, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.expression import TableClause

from outcry.adapters.postgres.housekeeping import HousekeepingBook
from outcry.adapters.postgres.queries import QueryBook
from outcry.adapters.postgres.statements import query
from outcry.adapters.postgres.tables import ACCOUNTS, ASSETS, AUDIT, KEYS
from outcry.decimals import money_text
from outcry.market.instrument import MAX_AMOUNT
from outcry.market.terms import WORLD_ACCOUNT
from outcry.ports import ReferenceTaken, Transfer
from outcry.rows import AccountRow, AssetRow, AuditRow, CandleRow, KeyRow

FOLD_POSTINGS: Final = 50_000  # per step of a fold that a withdrawal waits for
MAX_FOLDS: Final = 100  # steps: as long as the engine is faster than its postings are folded, the rest stays
HISTORY_ROWS: Final = 10_000  # candles written per transaction

NOTE: Final = text(query("note"))
CLAIM_REFERENCE: Final = text(query("claim_reference"))
FIND_TRANSFER: Final = text(query("find_transfer"))
OPEN_POCKETS: Final = text(query("open_pockets"))
LOCK_POCKETS: Final = text(query("lock_pockets"))
MOVE_MONEY: Final = text(query("move_money"))
ADD_ASSET: Final = text(query("add_asset"))
PUT_HISTORY: Final = text(query("put_history")).bindparams(
    *(bindparam(name, type_=ARRAY(BigInteger)) for name in CandleRow._fields)
)
KEY_COLUMNS: Final = len(KeyRow._fields)
CREDENTIALS: Final = (
    select(KEYS, ACCOUNTS)
    .join_from(KEYS, ACCOUNTS, KEYS.c.account_id == ACCOUNTS.c.account_id)
    .where(KEYS.c.api_key == any_(bindparam("api_keys", type_=ARRAY(Text))))
)
NEWEST_AUDIT: Final = select(AUDIT).order_by(text("audit_id DESC")).limit(bindparam("limit"))


class RegistryBook(HousekeepingBook, QueryBook):
    """Keeps ``ports.Registry``. A withdrawal may have to fold what the account has just won."""

    async def account(self, account_id: int) -> AccountRow | None:
        rows = await self._reader.rows(select(ACCOUNTS).where(ACCOUNTS.c.account_id == account_id))
        return AccountRow._make(rows[0]) if rows else None

    async def accounts(self) -> list[AccountRow]:
        rows = await self._reader.rows(select(ACCOUNTS).order_by(ACCOUNTS.c.account_id))
        return [AccountRow._make(row) for row in rows]

    async def create_account(self, row: AccountRow, actor: str) -> None:
        """Raises ValueError when the id is taken."""

        async def job(connection: AsyncConnection) -> None:
            if not await _is_new(connection, ACCOUNTS, row):
                raise ValueError(f"There is an account {row.account_id} already.")
            await _note(connection, actor, "create account", (str(row.account_id), row.name))

        await self._reader.change(job)

    async def freeze_account(self, account_id: int, frozen: bool, actor: str) -> None:
        async def job(connection: AsyncConnection) -> None:
            own = ACCOUNTS.c.account_id == account_id
            await connection.execute(update(ACCOUNTS).where(own).values(frozen=int(frozen)))
            await _note(connection, actor, "freeze account" if frozen else "unfreeze account", (str(account_id), ""))

        await self._reader.change(job)

    async def key(self, api_key: str) -> KeyRow | None:
        rows = await self._reader.rows(select(KEYS).where(KEYS.c.api_key == api_key))
        return KeyRow._make(rows[0]) if rows else None

    async def credentials(self, api_keys: Sequence[str]) -> list[tuple[KeyRow, AccountRow]]:
        rows = await self._reader.rows(CREDENTIALS, api_keys=list(api_keys))
        return [(KeyRow._make(row[:KEY_COLUMNS]), AccountRow._make(row[KEY_COLUMNS:])) for row in rows]

    async def keys(self, account_id: int | None = None) -> list[KeyRow]:
        statement = select(KEYS).order_by(KEYS.c.account_id, KEYS.c.created_ms, KEYS.c.api_key)
        if account_id is not None:
            statement = statement.where(KEYS.c.account_id == account_id)
        return [KeyRow._make(row) for row in await self._reader.rows(statement)]

    async def create_key(self, row: KeyRow, actor: str) -> None:
        """Raises ValueError when the key is taken."""

        async def job(connection: AsyncConnection) -> None:
            if not await _is_new(connection, KEYS, row):
                raise ValueError(f"There is a key {row.api_key} already.")
            await _note(connection, actor, "create key", (row.api_key, f"account {row.account_id}: {row.scopes}"))

        await self._reader.change(job)

    async def revoke_key(self, api_key: str, now_ms: int, actor: str) -> bool:
        """False when there is no such key, or it was revoked before."""

        async def job(connection: AsyncConnection) -> bool:
            own = update(KEYS).where(KEYS.c.api_key == api_key, KEYS.c.revoked_ms == 0)
            changed = (await connection.execute(own.values(revoked_ms=now_ms))).rowcount == 1
            if changed:
                await _note(connection, actor, "revoke key", (api_key, ""))
            return changed

        return await self._reader.change(job)

    async def transfer(self, account_id: int, asset_id: int, amount: int, reference: str, *, actor: str) -> Transfer:
        """Raises ReferenceTaken; ValueError when the venue would hold more of the asset than it can count."""
        moved = await self._transfer((account_id, asset_id), amount, reference, actor)
        if moved != Transfer.SHORT:
            return moved
        await self._catch_up([row.part for row in await self.partitions()])
        return await self._transfer((account_id, asset_id), amount, reference, actor)

    async def _catch_up(self, parts: Sequence[int]) -> None:
        """Folds what is committed by now."""
        for _ in range(MAX_FOLDS):
            if not await self.fold(parts, FOLD_POSTINGS):
                break

    async def _transfer(self, pocket: tuple[int, int], amount: int, reference: str, actor: str) -> Transfer:
        """Moves folded money only."""
        account_id, asset_id = pocket

        async def job(connection: AsyncConnection) -> None:
            own = {"account": account_id, "asset": asset_id, "amount": amount}
            claimed = await connection.execute(CLAIM_REFERENCE, {**own, "reference": reference, "actor": actor})
            if claimed.rowcount == 0:
                raise await _earlier(connection, reference, (account_id, asset_id, amount))
            await _move(connection, (account_id, asset_id), amount)
            found = (await connection.execute(select(ASSETS).where(ASSETS.c.asset_id == asset_id))).first()
            name = found.asset if found else f"of asset {asset_id}"
            action = "deposit" if amount > 0 else "withdraw"
            await _note(connection, actor, action, (str(account_id), f"{money_text(abs(amount))} {name} ({reference})"))

        try:
            await self._reader.change(job)
        except Unmoved as reason:
            return reason.outcome
        return Transfer.MOVED

    async def add_asset(self, asset: str, actor: str) -> AssetRow:
        async def job(connection: AsyncConnection) -> AssetRow:
            await connection.execute(text("LOCK TABLE assets IN SHARE ROW EXCLUSIVE MODE"))
            found = (await connection.execute(select(ASSETS).where(ASSETS.c.asset == asset))).first()
            if found is None:
                found = (await connection.execute(ADD_ASSET, {"asset": asset})).one()
                await _note(connection, actor, "add asset", (asset, str(found.asset_id)))
            return AssetRow._make(found)

        return await self._reader.change(job)

    async def put_candles(self, candles: Sequence[CandleRow]) -> None:
        for start in range(0, len(candles), HISTORY_ROWS):
            columns = zip(*candles[start : start + HISTORY_ROWS], strict=True)
            values = dict(zip(CandleRow._fields, map(list, columns), strict=True))
            await self._reader.change(lambda connection, values=values: connection.execute(PUT_HISTORY, values))  # type: ignore[misc]

    async def audit(self, row: AuditRow) -> None:
        await self._reader.change(lambda connection: connection.execute(insert(AUDIT).values(row._asdict())))

    async def audit_log(self, limit: int = 100) -> list[AuditRow]:
        """Newest first."""
        return [AuditRow._make(row) for row in await self._reader.rows(NEWEST_AUDIT, limit=limit)]


class Unmoved(Exception):
    """A transfer that moves nothing: what was written of it so far is undone."""

    def __init__(self, outcome: Transfer) -> None:
        super().__init__(outcome.name)
        self.outcome = outcome


async def _earlier(connection: AsyncConnection, reference: str, wanted: tuple[int, int, int]) -> Exception:
    """What to say of the transfer that has the reference: the wanted (account, asset, amount), or another."""
    found = (await connection.execute(FIND_TRANSFER, {"reference": reference})).one()
    account_id, asset_id, amount, asset = found
    if (account_id, asset_id, amount) == wanted:
        return Unmoved(Transfer.REPEATED)
    act = f"a deposit of {money_text(amount)}" if amount > 0 else f"a withdrawal of {money_text(-amount)}"
    return ReferenceTaken(f"The reference {reference!r} was used for {act} {asset}, account {account_id}.")


async def _move(connection: AsyncConnection, pocket: tuple[int, int], amount: int) -> None:
    """Moves money between the world and an account. Raises Unmoved when the account has too little, ValueError."""
    own = {"account": pocket[0], "asset": pocket[1], "world": WORLD_ACCOUNT}
    await connection.execute(OPEN_POCKETS, own)
    free = {row.account_id: row.free for row in await connection.execute(LOCK_POCKETS, own)}
    if free[pocket[0]] + amount < 0:
        raise Unmoved(Transfer.SHORT)
    if amount - free[WORLD_ACCOUNT] > MAX_AMOUNT:
        raise ValueError(f"The venue cannot hold more than {MAX_AMOUNT} minor units of an asset.")
    await connection.execute(MOVE_MONEY, {**own, "amount": amount})


async def _is_new(connection: AsyncConnection, table: TableClause, row: Any) -> bool:
    """Inserts a row unless there is one of its key."""
    done = await connection.execute(insert(table).values(row._asdict()).on_conflict_do_nothing())
    return done.rowcount == 1


async def _note(connection: AsyncConnection, actor: str, action: str, about: tuple[str, str]) -> None:
    """Writes an audit row at the database's time."""
    await connection.execute(NOTE, {"actor": actor, "action": action, "subject": about[0], "detail": about[1]})
