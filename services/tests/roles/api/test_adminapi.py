"""The operator's verbs over HTTP: for admin keys alone, with audit rows and refusals that say what to do."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from outcry.wiring.embedded import Exchange
from tests.support.inprocess import Client
from tests.support.traders import market


def client_of(exchange: Exchange, key: dict[str, Any]) -> Client:
    client = Client(exchange)
    client.key, client.secret = key["key"], key["secret"]
    return client


@contextlib.asynccontextmanager
async def operated(folder: Path) -> AsyncIterator[tuple[Client, Exchange]]:
    """A client with an admin key of account 1001."""
    async with market(folder) as (_, _, exchange):
        asked = {"account": 1001, "scopes": "read,trade,admin", "actor": "test"}
        operator = client_of(exchange, await exchange.venue.admin("keys.create", asked))
        try:
            yield operator, exchange
        finally:
            await operator.http.aclose()


async def test_an_admin_key_opens_an_account_that_then_trades(tmp_path: Path) -> None:
    async with operated(tmp_path) as (operator, exchange):
        _, opened = await operator.signed("POST", "/v1/admin/accounts", name="alice", takerPpm=500)
        assert (opened["name"], opened["taker_fee"]) == ("alice", "0.00050000")
        number = opened["account"]
        paid = {"account": number, "asset": "USD", "amount": "1000", "reference": "first"}
        assert (await operator.signed("POST", "/v1/admin/deposits", **paid))[0] == 200
        assert (await operator.signed("POST", "/v1/admin/deposits", **paid))[0] == 200  # moves nothing again
        _, balances = await operator.signed("GET", "/v1/admin/balances", account=number)
        assert balances["data"] == [{"asset": "USD", "free": "1000.00000000", "locked": "0.00000000"}]
        _, key = await operator.signed("POST", "/v1/admin/keys", account=number, scopes="read,trade")
        alice = client_of(exchange, key)
        order = {"symbol": "BTCUSD", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01"}
        assert (await alice.signed("POST", "/api/v3/order", **order, price="50000"))[0] == 200
        await alice.http.aclose()
        assert (await operator.signed("DELETE", "/v1/admin/keys", key=key["key"]))[0] == 200
        _, audit = await operator.signed("GET", "/v1/admin/audit", limit=4)
        assert [row["action"] for row in audit["data"]] == ["revoke key", "create key", "deposit", "create account"]
        assert {row["actor"] for row in audit["data"]} == {f"key {operator.key[:8]}"}


async def test_a_symbol_is_halted_and_opened(tmp_path: Path) -> None:
    async with operated(tmp_path) as (operator, _):
        assert (await operator.signed("POST", "/v1/admin/symbols/halt", symbol="BTCUSD"))[1]["status"] == "HALT"
        assert (await operator.signed("POST", "/v1/admin/symbols/open", symbol="BTCUSD"))[1]["status"] == "TRADING"


async def test_other_keys_are_no_operators(tmp_path: Path) -> None:
    async with market(tmp_path) as (one, _, _):
        status, answer = await one.client.signed("GET", "/v1/admin/accounts")
        assert (status, answer["code"]) == (401, -2015)


async def test_a_refusal_says_what_to_do(tmp_path: Path) -> None:
    async with operated(tmp_path) as (operator, _):
        much = {"account": 1001, "asset": "USD", "amount": "999999999"}
        status, answer = await operator.signed("POST", "/v1/admin/withdrawals", **much)
        assert (status, answer["code"]) == (400, -1130)
        assert "has less than 999999999.00000000 USD free" in answer["detail"]
        status, answer = await operator.signed("POST", "/v1/admin/accounts", name="x", nonsense=1)
        assert (status, "nonsense" in answer["detail"]) == (400, True)
