"""The operator's verbs, the same whether the exchange runs or rests: each checks, acts, and leaves an audit row."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from outcry.codec import encode_frame
from outcry.decimals import money_text
from outcry.market.commands import AnyCommand, HaltMarket, OpenMarket, SetInstrument
from outcry.market.instrument import HALTED, Instrument
from outcry.market.terms import FEE_ACCOUNT, MINOR_UNITS, PPM, WORLD_ACCOUNT
from outcry.ports import Clock, Journal, Ledger, ReferenceTaken, Transfer
from outcry.roles.admin import rules
from outcry.roles.admin.asked import symbols_asked_for
from outcry.roles.admin.founding import HMAC, Seal, terms_of
from outcry.roles.admin.partitions import PartitionVerbs
from outcry.roles.admin.rules import Refused
from outcry.rows import AccountRow, AuditRow, KeyRow

ED25519: Final = "ED25519"
SCOPES: Final = ("read", "trade", "withdraw", "admin")
FIRST_ACCOUNT: Final = 3001  # below are the venue's own, the demo's and the crowd's
DAY_MS: Final = 86_400_000
MAX_FEE_PPM: Final = PPM // 10  # 10 %

Params = Mapping[str, Any]
Result = dict[str, Any]
OnTransfer = Callable[[int, int, int], None]


def _no_listener(account_id: int, asset_id: int, amount: int) -> None:
    """Who an exchange at rest tells of a transfer."""


class Admin:
    """Carries verbs out on a ledger and a journal. ``symbols`` verbs take effect when the engine reads them.

    ``on_transfer`` is told of every (account, asset, minor units) that moved.
    """

    def __init__(
        self, ledger: Ledger, journal: Journal, clock: Clock, seal: Seal, *, on_transfer: OnTransfer = _no_listener
    ) -> None:
        self._ledger, self._journal, self._clock, self._seal = ledger, journal, clock, seal
        self._on_transfer = on_transfer
        self._one_lister = asyncio.Lock()  # the number of a new symbol follows from the symbols before it
        self._verbs: dict[str, Callable[[Params], Awaitable[Result]]] = {
            "accounts.list": self._accounts_list,
            "accounts.create": self._accounts_create,
            "accounts.freeze": self._accounts_freeze,
            "accounts.unfreeze": self._accounts_unfreeze,
            "accounts.balances": self._accounts_balances,
            "accounts.deposit": self._accounts_deposit,
            "accounts.withdraw": self._accounts_withdraw,
            "keys.list": self._keys_list,
            "keys.create": self._keys_create,
            "keys.revoke": self._keys_revoke,
            "symbols.list": self._symbols_list,
            "symbols.create": self._symbols_create,
            "symbols.halt": self._symbols_halt,
            "symbols.open": self._symbols_open,
            "audit.list": self._audit_list,
            **PartitionVerbs(ledger, journal).verbs,
        }

    async def run(self, verb: str, params: Params) -> Result:
        """Carries one verb out: ``{"rows": [...]}`` or what it made. Raises Refused."""
        if verb not in self._verbs:
            raise Refused(f"There is no verb {verb!r}. Known: {', '.join(self._verbs)}.")
        return await self._verbs[verb](params)

    async def _accounts_list(self, params: Params) -> Result:
        return {"rows": [_account_shown(row) for row in await self._ledger.accounts()]}

    async def _accounts_create(self, params: Params) -> Result:
        known = {row.account_id for row in await self._ledger.accounts()}
        account_id = params.get("account", max([FIRST_ACCOUNT - 1, *known]) + 1)
        if account_id in known or account_id in (WORLD_ACCOUNT, FEE_ACCOUNT):
            raise Refused(f"Account {account_id} exists already. Leave the number out to get the next free one.")
        rules.whole(account_id, "--account", 1, rules.LARGEST)
        maker_ppm = rules.whole(params.get("maker_ppm", 1_000), "--maker-ppm", 0, MAX_FEE_PPM)
        taker_ppm = rules.whole(params.get("taker_ppm", 1_000), "--taker-ppm", 0, MAX_FEE_PPM)
        name = rules.title(params["name"])
        row = AccountRow(account_id, name, maker_ppm, taker_ppm, 0, self._clock.now_ms())
        await self._ledger.create_account(row, params["actor"])
        return _account_shown(row)

    async def _accounts_freeze(self, params: Params) -> Result:
        return await self._set_frozen(params, frozen=True)

    async def _accounts_unfreeze(self, params: Params) -> Result:
        return await self._set_frozen(params, frozen=False)

    async def _set_frozen(self, params: Params, *, frozen: bool) -> Result:
        row = await self._account(params)
        await self._ledger.freeze_account(row.account_id, frozen, params["actor"])
        return _account_shown(row._replace(frozen=int(frozen)))

    async def _accounts_balances(self, params: Params) -> Result:
        row = await self._account(params)
        names = {asset.asset_id: asset.asset for asset in await self._ledger.assets()}
        balances = await self._ledger.balances(row.account_id)
        return {
            "rows": [
                {"asset": names[each.asset_id], "free": money_text(each.free), "locked": money_text(each.held)}
                for each in balances
            ]
        }

    async def _accounts_deposit(self, params: Params) -> Result:
        return await self._move(params, 1)

    async def _accounts_withdraw(self, params: Params) -> Result:
        return await self._move(params, -1)

    async def _move(self, params: Params, sign: int) -> Result:
        row, amount = await self._account(params), rules.amount(params["amount"])
        name = params["asset"].upper()
        assets = {each.asset: each.asset_id for each in await self._ledger.assets()}
        if name not in assets:
            raise Refused(f"There is no asset {name}. Known: {', '.join(sorted(assets))}.")
        reference = params.get("reference") or secrets.token_hex(8)
        pocket = (row.account_id, assets[name])
        moved = await _moved(self._ledger.transfer(*pocket, sign * amount, reference, actor=params["actor"]))
        if moved is Transfer.SHORT:
            raise Refused(
                f"Account {row.account_id} has less than {money_text(amount)} {name} free. "
                f"See `outcry accounts balances {row.account_id}`; cancel open orders to free what they hold."
            )
        if moved is Transfer.MOVED:
            self._on_transfer(*pocket, sign * amount)
        return {
            "account": row.account_id,
            "asset": name,
            "amount": money_text(sign * amount),
            "reference": reference,
        }

    async def _keys_list(self, params: Params) -> Result:
        account_id = (await self._account(params)).account_id if "account" in params else None
        keys = await self._ledger.keys(account_id)
        return {"rows": [_key_shown(key, self._clock.now_ms()) for key in keys]}

    async def _keys_create(self, params: Params) -> Result:
        row = await self._account(params)
        scopes = [scope.strip() for scope in params.get("scopes", "read,trade").split(",")]
        unknown = [scope for scope in scopes if scope not in SCOPES]
        if unknown:
            raise Refused(f"There is no scope {unknown[0]!r}. Known: {', '.join(SCOPES)}.")
        now_ms, expires_ms = self._clock.now_ms(), 0
        if "days" in params:
            expires_ms = now_ms + rules.whole(params["days"], "--days", 1, rules.MAX_DAYS) * DAY_MS
        api_key, secret, kind = secrets.token_hex(32), secrets.token_hex(32), HMAC
        stored = self._seal(secret.encode(), api_key)
        if params.get("ed25519"):
            kind, secret, stored = ED25519, "", rules.public_key(params["ed25519"])
        allowed = rules.addresses(params.get("ips", ""))
        key = KeyRow(api_key, row.account_id, kind, stored, ",".join(scopes), allowed, now_ms, expires_ms, 0)
        await self._ledger.create_key(key, params["actor"])
        return {**_key_shown(key, now_ms), **({"secret": secret} if secret else {})}

    async def _keys_revoke(self, params: Params) -> Result:
        if not await self._ledger.revoke_key(params["key"], self._clock.now_ms(), params["actor"]):
            raise Refused("There is no such live key. `outcry keys list` shows them all.")
        return {"key": params["key"], "state": "revoked"}

    async def _symbols_list(self, params: Params) -> Result:
        return {"rows": [_symbol_shown(terms_of(row)) for row in await self._ledger.symbols()]}

    async def _symbols_create(self, params: Params) -> Result:
        async with self._one_lister:
            return await self._create_symbol(params)

    async def _create_symbol(self, params: Params) -> Result:
        listed = await symbols_asked_for(self._ledger, self._journal)
        base, quote = rules.asset(params["base"]), rules.asset(params["quote"])
        if any(each.symbol == base + quote for each in listed):
            raise Refused(f"{base}{quote} is listed already, or will be when the exchange runs.")
        partitions = sorted(row.part for row in await self._ledger.partitions())
        partition = params.get("partition", partitions[len(listed) % len(partitions)])
        if partition not in partitions:
            raise Refused(f"There is no partition {partition}. Known: {', '.join(map(str, partitions))}.")
        terms = Instrument(
            symbol_id=max([each.symbol_id for each in listed], default=0) + 1,
            symbol=base + quote,
            partition=partition,
            base=base,
            quote=quote,
            base_asset=0,
            quote_asset=0,
            tick_size=rules.amount(params["tick"]),
            lot_size=rules.amount(params["step"]),
            min_notional=rules.amount(params.get("min_notional", "5")),
        )
        if terms.problems():
            raise Refused(f"These terms do not work: {'; '.join(terms.problems())}.")
        base_asset, quote_asset = [await self._ledger.add_asset(name, params["actor"]) for name in (base, quote)]
        instrument = msgspec.structs.replace(terms, base_asset=base_asset.asset_id, quote_asset=quote_asset.asset_id)
        command = SetInstrument(command_id=0, symbol_id=instrument.symbol_id, instrument=instrument)
        await self._ask_engine(params, "list symbol", instrument, command)
        return _symbol_shown(instrument)

    async def _symbols_halt(self, params: Params) -> Result:
        instrument = await self._symbol(params)
        command = HaltMarket(command_id=0, symbol_id=instrument.symbol_id)
        await self._ask_engine(params, "halt symbol", instrument, command)
        return {"symbol": instrument.symbol, "status": "HALT"}

    async def _symbols_open(self, params: Params) -> Result:
        instrument = await self._symbol(params)
        command = OpenMarket(command_id=0, symbol_id=instrument.symbol_id)
        await self._ask_engine(params, "open symbol", instrument, command)
        return {"symbol": instrument.symbol, "status": "TRADING"}

    async def _audit_list(self, params: Params) -> Result:
        limit = rules.whole(params.get("limit", 100), "--limit", 1, rules.MAX_ROWS)
        return {"rows": [_audit_shown(row) for row in await self._ledger.audit_log(limit)]}

    async def _account(self, params: Params) -> AccountRow:
        number = params["account"]
        row = await self._ledger.account(number) if 0 <= number <= rules.LARGEST else None
        if row is None:
            raise Refused(f"There is no account {params['account']}. `outcry accounts list` shows them all.")
        return row

    async def _symbol(self, params: Params) -> Instrument:
        listed = {row.symbol: row for row in map(terms_of, await self._ledger.symbols())}
        name = params["symbol"].upper()
        if name not in listed:
            raise Refused(f"There is no symbol {name}. Listed: {', '.join(sorted(listed))}.")
        return listed[name]

    async def _ask_engine(self, params: Params, action: str, instrument: Instrument, command: AnyCommand) -> None:
        """Journals a command for the engine. The audit row is written first: no crash between leaves an act without."""
        detail = ", ".join(f"{name}={value}" for name, value in sorted(params.items()) if name != "actor")
        asked = AuditRow(self._clock.now_ms(), params["actor"], f"ask to {action}", instrument.symbol, detail)
        await self._ledger.audit(asked)
        await self._journal.append([(instrument.partition, encode_frame([command]))])


async def _moved(transfer: Awaitable[Transfer]) -> Transfer:
    """What came of a transfer, its refusals in the operator's words."""
    try:
        return await transfer
    except ReferenceTaken as taken:
        raise Refused(f"{taken} Choose another, or leave it out to get a new one.") from None
    except ValueError as beyond:
        raise Refused(str(beyond)) from None


def _account_shown(row: AccountRow) -> Result:
    return {
        "account": row.account_id,
        "name": row.name,
        "maker_fee": money_text(row.maker_ppm * MINOR_UNITS // PPM),
        "taker_fee": money_text(row.taker_ppm * MINOR_UNITS // PPM),
        "state": "frozen" if row.frozen else "active",
    }


def _key_shown(key: KeyRow, now_ms: int) -> Result:
    expired = key.expires_ms and now_ms >= key.expires_ms
    state = "revoked" if key.revoked_ms else "expired" if expired else "live"
    return {
        "key": key.api_key,
        "account": key.account_id,
        "kind": key.kind,
        "scopes": key.scopes,
        "addresses": key.ip_list or "any",
        "state": state,
    }


def _symbol_shown(instrument: Instrument) -> Result:
    return {
        "symbol": instrument.symbol,
        "status": "HALT" if instrument.status == HALTED else "TRADING",
        "tick": money_text(instrument.tick_size),
        "step": money_text(instrument.lot_size),
        "partition": instrument.partition,
    }


def _audit_shown(row: AuditRow) -> Result:
    time = datetime.fromtimestamp(row.time_ms / 1000, UTC)
    shown: Result = row._asdict()
    del shown["time_ms"]
    return {"time": time.strftime("%Y-%m-%d %H:%M:%S"), **shown}
