"""The operator's verbs on a running exchange: each does what it says, refuses in plain words, and is audited."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from outcry.ports import Damaged, Journal, OutOfService
from outcry.roles.admin.control import NotRunning, ask_running, socket_path
from outcry.roles.admin.masterkey import master_key
from outcry.roles.admin.rules import Refused
from outcry.roles.admin.verbs import Admin
from outcry.rows import Record
from tests.support.inprocess import running

ORDER = {"symbol": "BTCUSD", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01", "price": "50000"}


async def ask(folder: Path, verb: str, **params: Any) -> dict[str, Any]:
    return await ask_running(folder, verb, {"actor": "tester", **params})


async def test_a_new_account_trades_with_its_own_key(tmp_path: Path) -> None:
    async with running(tmp_path) as (_, client):
        made = await ask(tmp_path, "accounts.create", name="desk", maker_ppm=0, taker_ppm=500)
        await ask(tmp_path, "accounts.deposit", account=made["account"], asset="usd", amount="1000")
        key = await ask(tmp_path, "keys.create", account=made["account"])
        client.key, client.secret = key["key"], key["secret"]
        status, answer = await client.signed("POST", "/api/v3/order", **ORDER)
        assert (status, answer["status"]) == (200, "NEW")
        status, answer = await client.signed("GET", "/api/v3/account", omitZeroBalances="true")
        assert answer["balances"] == [{"asset": "USD", "free": "500.00000000", "locked": "500.00000000"}]


async def test_a_deposit_with_a_reference_moves_money_once(tmp_path: Path) -> None:
    async with running(tmp_path):
        for _ in range(3):
            await ask(tmp_path, "accounts.deposit", account=1001, asset="USD", amount="7", reference="r-1")
        rows = (await ask(tmp_path, "accounts.balances", account=1001))["rows"]
        assert {row["asset"]: row["free"] for row in rows}["USD"] == "10000007.00000000"


async def test_a_reference_of_another_transfer_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path):
        await ask(tmp_path, "accounts.deposit", account=1001, asset="USD", amount="7", reference="r-1")
        with pytest.raises(Refused, match=r"'r-1' was used for a deposit of 7\.00000000 USD, account 1001"):
            await ask(tmp_path, "accounts.deposit", account=1002, asset="USD", amount="7", reference="r-1")


async def test_the_venue_says_how_much_it_can_hold(tmp_path: Path) -> None:
    async with running(tmp_path):
        with pytest.raises(Refused, match="cannot hold more than"):
            for _ in range(3):
                await ask(tmp_path, "accounts.deposit", account=1001, asset="USD", amount="40000000000")


async def test_nobody_withdraws_more_than_there_is(tmp_path: Path) -> None:
    async with running(tmp_path):
        with pytest.raises(Refused, match="has less than"):
            await ask(tmp_path, "accounts.withdraw", account=1001, asset="BTC", amount="100.00000001")
        await ask(tmp_path, "accounts.withdraw", account=1001, asset="BTC", amount="100")


@pytest.mark.parametrize("amount", ["0", "-1", "1e3", "NaN", "0.123456789", "٣", ""])
async def test_an_amount_is_a_positive_decimal(tmp_path: Path, amount: str) -> None:
    async with running(tmp_path):
        with pytest.raises(Refused, match="is no amount"):
            await ask(tmp_path, "accounts.deposit", account=1001, asset="USD", amount=amount)


async def test_a_halted_market_takes_no_orders_until_it_opens(tmp_path: Path) -> None:
    async with running(tmp_path) as (_, client):
        await ask(tmp_path, "symbols.halt", symbol="btcusd")
        status, answer = await client.signed("POST", "/api/v3/order", **ORDER)
        assert (status, answer) == (400, {"code": -2010, "msg": "Market is closed."})
        await ask(tmp_path, "symbols.open", symbol="BTCUSD")
        assert (await client.signed("POST", "/api/v3/order", **ORDER))[0] == 200


async def test_a_new_symbol_trades_at_once(tmp_path: Path) -> None:
    async with running(tmp_path) as (exchange, client):
        await ask(tmp_path, "symbols.create", base="XRP", quote="USD", tick="0.0001", step="0.1")
        while "XRPUSD" not in exchange.venue.instruments:
            await exchange.listing.refresh()
        order = ORDER | {"symbol": "XRPUSD", "quantity": "20", "price": "0.5"}
        assert (await client.signed("POST", "/api/v3/order", **order))[0] == 200


async def test_a_revoked_key_stops_working(tmp_path: Path) -> None:
    async with running(tmp_path) as (exchange, client):
        await ask(tmp_path, "keys.revoke", key="outcry-demo-key-1")
        exchange.gate.keys.forget("outcry-demo-key-1")
        assert (await client.signed("GET", "/api/v3/account"))[0] == 401


async def test_a_frozen_account_may_not_trade(tmp_path: Path) -> None:
    async with running(tmp_path) as (exchange, client):
        await ask(tmp_path, "accounts.freeze", account=1001)
        exchange.gate.keys.forget("outcry-demo-key-1")
        status, _ = await client.signed("POST", "/api/v3/order", **ORDER)
        assert status != 200


async def test_every_change_is_audited(tmp_path: Path) -> None:
    async with running(tmp_path):
        await ask(tmp_path, "symbols.halt", symbol="BTCUSD")
        await ask(tmp_path, "accounts.create", name="desk")
        await ask(tmp_path, "accounts.freeze", account=1002)
        rows = (await ask(tmp_path, "audit.list", limit=10))["rows"]
        by_tester = [(row["action"], row["subject"]) for row in rows if row["actor"] == "tester"]
        assert by_tester == [("freeze account", "1002"), ("create account", "3001"), ("ask to halt symbol", "BTCUSD")]


SYMBOL = {"base": "XRP", "quote": "USD", "tick": "0.01", "step": "0.1", "symbol": "BTCUSD", "actor": "tester"}


@pytest.mark.parametrize("verb", ["symbols.create", "symbols.halt", "symbols.open"])
async def test_what_the_engine_is_asked_is_audited_before_it_can_happen(tmp_path: Path, verb: str) -> None:
    class Cut:
        """A journal that the process dies before reaching."""

        async def read(self, *given: object) -> list[Record]:
            return []

        async def append(self, frames: Sequence[tuple[int, bytes]]) -> list[int]:
            raise OutOfService("cut")

    async with running(tmp_path) as (exchange, _):
        ledger, journal = exchange.store.ledger, cast(Journal, Cut())
        with pytest.raises(OutOfService):
            await Admin(ledger, journal, exchange.clock, lambda secret, key: secret).run(verb, SYMBOL)
        newest = (await ledger.audit_log(1))[0]
        assert (newest.actor, newest.subject) == ("tester", "XRPUSD" if verb == "symbols.create" else "BTCUSD")
        assert newest.action.startswith("ask to ")


async def test_symbols_that_are_asked_for_in_a_row_get_numbers_of_their_own(tmp_path: Path) -> None:
    async with running(tmp_path) as (exchange, _):
        await exchange.crew.stop("engine")
        terms = {"quote": "USD", "tick": "0.01", "step": "0.1"}
        await asyncio.gather(*(ask(tmp_path, "symbols.create", base=base, **terms) for base in ("AAA", "BBB", "CCC")))
        with pytest.raises(Refused, match="BBBUSD is listed already, or will be"):
            await ask(tmp_path, "symbols.create", base="BBB", **terms)
    async with running(tmp_path) as (exchange, _):
        while len(exchange.venue.instruments) < 11:
            await exchange.listing.refresh()
        numbers = {exchange.venue.instruments[name].symbol_id for name in ("AAAUSD", "BBBUSD", "CCCUSD")}
        assert numbers == {9, 10, 11}


async def test_a_symbol_that_is_refused_leaves_no_asset_behind(tmp_path: Path) -> None:
    async with running(tmp_path):
        with pytest.raises(Refused, match="must be a whole number of 1e-8"):
            await ask(tmp_path, "symbols.create", base="FOO", quote="USD", tick="0.00001", step="0.0001")
        with pytest.raises(Refused, match="There is no asset FOO"):
            await ask(tmp_path, "accounts.deposit", account=1001, asset="FOO", amount="1")


@pytest.mark.parametrize(
    ("verb", "params", "says"),
    [
        ("accounts.fly", {}, "There is no verb"),
        ("accounts.freeze", {"account": 9}, "There is no account 9"),
        ("accounts.create", {"name": "x", "account": 1001}, "exists already"),
        ("accounts.create", {"name": "x", "account": -5}, "from 1 to"),
        ("accounts.create", {"name": "x", "account": 1 << 64}, "from 1 to"),
        ("accounts.create", {"name": "x", "maker_ppm": 100_001}, "--maker-ppm is 100001"),
        ("accounts.create", {"name": " "}, "is no name"),
        ("accounts.balances", {"account": 1 << 64}, "There is no account"),
        ("accounts.deposit", {"account": 1001, "asset": "USD", "amount": "9" * 20}, "too large an amount"),
        ("accounts.deposit", {"account": 1001, "asset": "EUR", "amount": "1"}, "There is no asset EUR"),
        ("keys.create", {"account": 1001, "scopes": "root"}, "There is no scope"),
        ("keys.create", {"account": 1001, "ed25519": "abc"}, "64 hex digits"),
        ("keys.create", {"account": 1001, "ips": "nowhere"}, "'nowhere' does not appear to be"),
        ("keys.create", {"account": 1001, "ips": ","}, "--ips takes 1 to"),
        ("keys.create", {"account": 1001, "days": 0}, "--days is 0"),
        ("keys.create", {"account": 1001, "days": 10**12}, "--days is 1000000000000"),
        ("keys.list", {"account": 9}, "There is no account 9"),
        ("audit.list", {"limit": -1}, "--limit is -1"),
        ("keys.revoke", {"key": "none"}, "no such live key"),
        ("symbols.halt", {"symbol": "EURUSD"}, "There is no symbol EURUSD"),
        ("symbols.create", {"base": "BTC", "quote": "USD", "tick": "1", "step": "1"}, "listed already"),
        ("symbols.create", {"base": "X", "quote": "USD", "tick": "0.00000001", "step": "0.1"}, "do not work"),
        ("symbols.create", {"base": "A B", "quote": "USD", "tick": "1", "step": "1"}, "is no asset"),
        ("symbols.create", {"base": "ÄÖ", "quote": "USD", "tick": "1", "step": "1"}, "is no asset"),
        ("symbols.create", {"base": "X" * 11, "quote": "USD", "tick": "1", "step": "1"}, "is no asset"),
    ],
)
async def test_what_cannot_be_done_is_refused_in_plain_words(
    tmp_path: Path, verb: str, params: dict[str, Any], says: str
) -> None:
    async with running(tmp_path):
        with pytest.raises(Refused, match=says):
            await ask(tmp_path, verb, **params)


async def test_a_key_keeps_its_addresses_and_its_end(tmp_path: Path) -> None:
    async with running(tmp_path) as (exchange, _):
        made = await ask(tmp_path, "keys.create", account=1001, ips=" 10.1.2.3/8 , ::1", days=2)
        assert made["addresses"] == "10.0.0.0/8,::1/128"
        row = await exchange.store.ledger.key(made["key"])
        assert row is not None and row.expires_ms - row.created_ms == 2 * 86_400_000


async def test_the_control_socket_is_private_and_goes_with_the_exchange(tmp_path: Path) -> None:
    async with running(tmp_path):
        assert socket_path(tmp_path).stat().st_mode & 0o077 == 0
    with pytest.raises(NotRunning):
        await ask(tmp_path, "accounts.list")


async def test_a_long_directory_still_gets_a_socket(tmp_path: Path) -> None:
    folder = tmp_path / ("long-" * 20)
    async with running(folder):
        assert (await ask(folder, "symbols.list"))["rows"]
    assert not socket_path(folder).exists()


def test_a_master_key_is_made_once_and_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    key = master_key(path, may_create=True)
    assert len(key) == 32 and path.stat().st_mode & 0o077 == 0
    assert master_key(path, may_create=True) == key
    path.write_bytes(b"short")
    with pytest.raises(Damaged, match="has 5 bytes"):
        master_key(path, may_create=True)
    path.unlink()
    with pytest.raises(Damaged, match="is missing"):
        master_key(path, may_create=False)
