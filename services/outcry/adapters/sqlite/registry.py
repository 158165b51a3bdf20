"""Accounts, keys, assets, deposits and withdrawals; whoever changed them stands in the audit log."""

from collections.abc import Sequence
from typing import Any

import msgspec

from outcry.adapters.sqlite.bulk import insert
from outcry.adapters.sqlite.file import OnFile
from outcry.adapters.sqlite.housekeeping import fold_in
from outcry.adapters.sqlite.rowtext import CANDLE
from outcry.adapters.sqlite.writer import Work
from outcry.decimals import money_text
from outcry.market.instrument import MAX_AMOUNT
from outcry.market.terms import WORLD_ACCOUNT
from outcry.ports import ReferenceTaken, Transfer
from outcry.rows import AccountRow, AssetRow, AuditRow, CandleRow, KeyRow

ACCOUNT = AccountRow._fields
KEY = KeyRow._fields
AUDIT = AuditRow._fields
SELECT_ACCOUNT = f"SELECT {','.join(ACCOUNT)} FROM accounts"
SELECT_KEY = f"SELECT {','.join(KEY)} FROM api_keys"
SELECT_CREDENTIALS = (
    f"SELECT {','.join(f'k.{each}' for each in KEY)}, {','.join(f'a.{each}' for each in ACCOUNT)} "
    "FROM json_each(?) wanted JOIN api_keys k ON k.api_key = wanted.value JOIN accounts a USING (account_id)"
)
SELECT_AUDIT = f"SELECT {','.join(AUDIT)} FROM audit ORDER BY audit_id DESC LIMIT ?"

PUT_ACCOUNT = insert("accounts", ACCOUNT, "ON CONFLICT DO NOTHING")
PUT_KEY = insert("api_keys", KEY, "ON CONFLICT DO NOTHING")
PUT_AUDIT = insert("audit", AUDIT)
PUT_HISTORY = insert("candles", CANDLE, "ON CONFLICT DO NOTHING")
FIND_TRANSFER = (
    "SELECT account_id, asset_id, amount, asset FROM transfers JOIN assets USING (asset_id) WHERE reference = ?"
)
HISTORY_ROWS = 10_000  # candles written per transaction


class RegistryBook(OnFile):
    """Keeps ``ports.Registry``."""

    async def account(self, account_id: int) -> AccountRow | None:
        rows = await self._rows(f"{SELECT_ACCOUNT} WHERE account_id = ?", account_id)
        return AccountRow(*rows[0]) if rows else None

    async def accounts(self) -> list[AccountRow]:
        return [AccountRow(*row) for row in await self._rows(f"{SELECT_ACCOUNT} ORDER BY account_id")]

    async def create_account(self, row: AccountRow, actor: str) -> None:
        """Raises ValueError when the id is taken."""

        def job(work: Work) -> bool:
            done = PUT_ACCOUNT.run(work.db, [row]) == 1
            return done and note(work, actor, "create account", (str(row.account_id), row.name))

        if not await self._writer.do(job):
            raise ValueError(f"There is an account {row.account_id} already.")

    async def freeze_account(self, account_id: int, frozen: bool, actor: str) -> None:
        def job(work: Work) -> None:
            work.db.execute("UPDATE accounts SET frozen = ? WHERE account_id = ?", (int(frozen), account_id))
            note(work, actor, "freeze account" if frozen else "unfreeze account", (str(account_id), ""))

        await self._writer.do(job)

    async def key(self, api_key: str) -> KeyRow | None:
        rows = await self._rows(f"{SELECT_KEY} WHERE api_key = ?", api_key)
        return KeyRow(*rows[0]) if rows else None

    async def credentials(self, api_keys: Sequence[str]) -> list[tuple[KeyRow, AccountRow]]:
        rows = await self._rows(SELECT_CREDENTIALS, msgspec.json.encode(list(api_keys)).decode())
        return [(KeyRow(*row[: len(KEY)]), AccountRow(*row[len(KEY) :])) for row in rows]

    async def keys(self, account_id: int | None = None) -> list[KeyRow]:
        if account_id is None:
            return [KeyRow(*row) for row in await self._rows(f"{SELECT_KEY} ORDER BY account_id, created_ms, api_key")]
        text = f"{SELECT_KEY} WHERE account_id = ? ORDER BY created_ms, api_key"
        return [KeyRow(*row) for row in await self._rows(text, account_id)]

    async def create_key(self, row: KeyRow, actor: str) -> None:
        """Raises ValueError when the key is taken."""

        def job(work: Work) -> bool:
            done = PUT_KEY.run(work.db, [row]) == 1
            return done and note(work, actor, "create key", (row.api_key, f"account {row.account_id}: {row.scopes}"))

        if not await self._writer.do(job):
            raise ValueError(f"There is a key {row.api_key} already.")

    async def revoke_key(self, api_key: str, now_ms: int, actor: str) -> bool:
        """False when there is no such key, or it was revoked before."""

        def job(work: Work) -> bool:
            changed = work.db.execute(
                "UPDATE api_keys SET revoked_ms = ? WHERE api_key = ? AND revoked_ms = 0", (now_ms, api_key)
            ).rowcount
            return changed == 1 and note(work, actor, "revoke key", (api_key, ""))

        return await self._writer.do(job)

    async def transfer(self, account_id: int, asset_id: int, amount: int, reference: str, *, actor: str) -> Transfer:
        """Raises ReferenceTaken; ValueError when the venue would hold more of the asset than it can count."""
        wanted = (account_id, asset_id, amount)

        def job(work: Work) -> Transfer:
            if _is_repeated(work, reference, wanted):
                return Transfer.REPEATED
            if not _move(work, (account_id, asset_id), amount):
                return Transfer.SHORT
            work.db.execute(
                "INSERT INTO transfers (time_ms, account_id, asset_id, amount, reference, actor) VALUES (?,?,?,?,?,?)",
                (work.now_ms, account_id, asset_id, amount, reference, actor),
            )
            action = "deposit" if amount > 0 else "withdraw"
            detail = f"{money_text(abs(amount))} {_asset_name(work, asset_id)} ({reference})"
            note(work, actor, action, (str(account_id), detail))
            return Transfer.MOVED

        return await self._writer.do(job)

    async def add_asset(self, asset: str, actor: str) -> AssetRow:
        def job(work: Work) -> AssetRow:
            found = work.db.execute("SELECT asset_id, asset FROM assets WHERE asset = ?", (asset,)).fetchone()
            if found is None:
                work.db.execute("INSERT INTO assets (asset) VALUES (?)", (asset,))
                found = work.db.execute("SELECT asset_id, asset FROM assets WHERE asset = ?", (asset,)).fetchone()
                note(work, actor, "add asset", (asset, str(found[0])))
            return AssetRow(*found)

        return await self._writer.do(job)

    async def put_candles(self, candles: Sequence[CandleRow]) -> None:
        for start in range(0, len(candles), HISTORY_ROWS):
            rows = candles[start : start + HISTORY_ROWS]
            await self._writer.do(lambda work, rows=rows: PUT_HISTORY.run(work.db, rows))  # type: ignore[misc]

    async def audit(self, row: AuditRow) -> None:
        await self._writer.do(lambda work: PUT_AUDIT.run(work.db, [row]))

    async def audit_log(self, limit: int = 100) -> list[AuditRow]:
        """Newest first."""
        return [AuditRow(*row) for row in await self._rows(SELECT_AUDIT, limit)]

    async def _rows(self, text: str, *values: object) -> list[tuple[Any, ...]]:
        return await self._reader.ask(lambda db: db.execute(text, values).fetchall())


def _is_repeated(work: Work, reference: str, wanted: tuple[int, int, int]) -> bool:
    """Whether the wanted (account, asset, amount) was moved under this reference. Raises ReferenceTaken."""
    found = work.db.execute(FIND_TRANSFER, (reference,)).fetchone()
    if found is None or found[:3] == wanted:
        return found is not None
    account_id, _, amount, asset = found
    act = f"a deposit of {money_text(amount)}" if amount > 0 else f"a withdrawal of {money_text(-amount)}"
    raise ReferenceTaken(f"The reference {reference!r} was used for {act} {asset}, account {account_id}.")


def _asset_name(work: Work, asset_id: int) -> str:
    found = work.db.execute("SELECT asset FROM assets WHERE asset_id = ?", (asset_id,)).fetchone()
    return str(found[0]) if found else f"of asset {asset_id}"


def _move(work: Work, pocket: tuple[int, int], amount: int) -> bool:
    """Moves money between the world and an account, if the account has it."""
    purse = work.memory.purse
    world = (WORLD_ACCOUNT, pocket[1])
    if amount < 0:
        for part in sorted(work.memory.fences(work.db)):
            fold_in(work, part)
    purse.load(work.db, [pocket, world])
    if purse.of(pocket)[0] + amount < 0:
        return False
    if amount - purse.of(world)[0] > MAX_AMOUNT:
        raise ValueError(f"The venue cannot hold more than {MAX_AMOUNT} minor units of an asset.")
    purse.move(pocket, amount, 0)
    purse.move(world, -amount, 0)
    return True


def note(work: Work, actor: str, action: str, about: tuple[str, str]) -> bool:
    """Writes an audit row; True, so that it can end a job."""
    PUT_AUDIT.run(work.db, [(work.now_ms, actor, action, *about)])
    return True
