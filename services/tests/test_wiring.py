"""One process holds everything together: it starts again where it stood, and ends in order."""

import os
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest

from outcry.ports import Damaged
from outcry.roles.engine.verify import verify
from outcry.settings import ClusterSettings, Settings, SettingsError, read_settings
from outcry.wiring.backbone import Backbone
from outcry.wiring.embedded import Exchange
from tests.support.inprocess import Client, running, until

SELL = {"symbol": "BTCUSD", "side": "SELL", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.5", "price": "60000"}


async def balances(client: Client) -> dict[str, tuple[str, str]]:
    _, answer = await client.signed("GET", "/api/v3/account")
    return {row["asset"]: (row["free"], row["locked"]) for row in answer["balances"]}


async def test_the_demo_accounts_are_funded_alike_every_time(tmp_path: Path) -> None:
    seen = []
    for name in ("a", "b"):
        async with running(tmp_path / name) as (_, client):
            seen.append(await balances(client))
    assert seen[0] == seen[1]
    assert seen[0]["BTC"] == ("100.00000000", "0.00000000")
    assert seen[0]["USD"] == ("10000000.00000000", "0.00000000")


async def test_a_restart_finds_the_order_the_money_and_the_book(tmp_path: Path) -> None:
    async with running(tmp_path) as (_, client):
        status, placed = await client.signed("POST", "/api/v3/order", **SELL)
        assert status == 200
        before = await balances(client), await client.get("/api/v3/depth", symbol="BTCUSD")
    async with running(tmp_path) as (_, client):
        assert (await balances(client), await client.get("/api/v3/depth", symbol="BTCUSD")) == before
        _, order = await client.signed("GET", "/api/v3/order", symbol="BTCUSD", orderId=placed["orderId"])
        assert (order["status"], order["clientOrderId"]) == ("NEW", placed["clientOrderId"])


async def test_fewer_partitions_than_before_lose_no_market(tmp_path: Path) -> None:
    async with running(tmp_path, partitions=4):
        pass
    async with running(tmp_path, partitions=1) as (exchange, client):
        assert exchange.settings.partitions == 4
        status, _ = await client.signed("POST", "/api/v3/order", **SELL | {"symbol": "DOTUSD", "price": "800"})
        assert status == 200


async def test_a_ledger_of_one_partition_matches_every_market(tmp_path: Path) -> None:
    async with running(tmp_path, partitions=1) as (_, client):
        for symbol in ("BTCUSD", "MATICUSD"):
            order = SELL | {"symbol": symbol, "quantity": "10", "price": "1"}
            assert (await client.signed("POST", "/api/v3/order", **order))[0] == 200


async def test_readiness_is_withdrawn_before_the_end(tmp_path: Path) -> None:
    async with running(tmp_path) as (exchange, client):
        assert (await client.http.get("/readyz")).status_code == 200
        await exchange.part()
        assert (await client.http.get("/readyz")).status_code == 503
        status, answer = await client.signed("POST", "/api/v3/order", **SELL)
        assert (status, answer["code"]) == (503, -1008)


async def test_documented_keys_do_not_exist_where_others_can_listen(tmp_path: Path) -> None:
    async with running(tmp_path) as (_, client):
        assert (await client.signed("GET", "/api/v3/account"))[0] == 200
    async with running(tmp_path, host="0.0.0.0") as (exchange, client):
        assert (await client.signed("GET", "/api/v3/account"))[0] == 401
        client.key, client.secret, _ = exchange.issued[0]
        assert (await client.signed("GET", "/api/v3/account"))[0] == 200
    async with running(tmp_path, host="0.0.0.0") as (exchange, _):
        assert list(exchange.issued) == []
    async with running(tmp_path) as (_, client):
        assert (await client.signed("GET", "/api/v3/account"))[0] == 200


async def test_a_halted_partition_is_seen_and_takes_no_orders(tmp_path: Path) -> None:
    async with running(tmp_path) as (exchange, client):
        await exchange.store.ledger.halt_partition(0, "a person must decide", "tester")
        await until(lambda: 0 in exchange.engine.halted)
        _, listing = await client.get("/api/v3/exchangeInfo")
        assert [each["symbol"] for each in listing["symbols"] if each["status"] == "BREAK"] == ["BTCUSD", "SOLUSD"]
        assert (await client.signed("POST", "/api/v3/order", **SELL))[1] == {"code": -2010, "msg": "Market is closed."}
        assert "halted" in (await client.http.get("/")).text
        await exchange.store.ledger.resume_partition(0, "tester")
        await until(lambda: 0 in exchange.engine.sessions and 0 not in exchange.engine.halted)
        assert (await client.signed("POST", "/api/v3/order", **SELL))[0] == 200


async def test_only_live_documented_keys_are_told(tmp_path: Path) -> None:
    async with running(tmp_path) as (exchange, _):
        assert [key for key, _, _ in exchange.issued] == ["outcry-demo-key-1", "outcry-demo-key-2"]
        await exchange.store.ledger.revoke_key("outcry-demo-key-1", exchange.clock.now_ms(), "tester")
    async with running(tmp_path) as (exchange, _):
        assert list(exchange.issued) == [("outcry-demo-key-2", "outcry-demo-secret-2", 1002)]


async def test_the_simulated_market_has_a_past_a_book_and_trades(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"simulation_enabled": True, "simulation_orders_per_sec": 400.0}
    async with running(tmp_path, simulation_symbols=("ETHUSD",), **settings) as (exchange, client):
        _, klines = await client.get("/api/v3/klines", symbol="ETHUSD", interval="1h", limit=100)
        assert len(klines) == 100
        trades: list[dict[str, Any]] = []
        while len(trades) < 20:
            _, trades = await client.get("/api/v3/trades", symbol="ETHUSD")
        _, depth = await client.get("/api/v3/depth", symbol="ETHUSD")
        assert len(depth["bids"]) >= 5
        assert len(depth["asks"]) >= 5
        assert abs(float(trades[-1]["price"]) / float(klines[-2][4]) - 1) < 0.05
        assert await client.get("/api/v3/trades", symbol="BTCUSD") == (200, [])
        assert exchange.telemetry.figures()["trades_per_sec"] > 0


async def test_a_market_with_a_past_proves_itself_while_it_trades(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"simulation_enabled": True, "simulation_orders_per_sec": 400.0}
    async with running(tmp_path, simulation_symbols=("ETHUSD",), **settings) as (exchange, client):
        trades: list[dict[str, Any]] = []
        while len(trades) < 20:
            _, trades = await client.get("/api/v3/trades", symbol="ETHUSD")
        report = await verify(exchange.store.ledger, exchange.store.journal, lambda line: None)
        assert report.problems == []
    copy = sqlite3.connect(tmp_path / "outcry.db")
    with copy:  # the candle with most of the past in it, at whatever time of the day this runs
        traded = "FROM candles WHERE symbol_id = 2 AND first_trade >= 0"
        copy.execute(
            f"UPDATE candles SET volume = volume + 1 WHERE symbol_id = 2 AND trades = (SELECT max(trades) {traded})"
        )
    copy.close()
    async with running(tmp_path) as (exchange, _):
        report = await verify(exchange.store.ledger, exchange.store.journal, lambda line: None)
        assert "a candle differs" in report.problems[0]


async def test_a_market_with_a_past_takes_market_orders_before_its_first_trade(tmp_path: Path) -> None:
    async with running(tmp_path, simulation_enabled=True, simulation_orders_per_sec=0.01) as (exchange, client):
        rows = await exchange.store.ledger.symbols()
        untraded = next(row for row in rows if row.last_price == 0)
        symbol = exchange.venue.instruments_by_id[untraded.symbol_id].symbol
        status, answer = await client.signed(
            "POST", "/api/v3/order", symbol=symbol, side="BUY", type="MARKET", quantity="100"
        )
        assert status == 200, answer


async def test_a_simulated_market_goes_on_at_the_price_where_it_stopped(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"simulation_enabled": True, "simulation_symbols": ("BTCUSD",)}
    async with running(tmp_path, **settings, simulation_orders_per_sec=400.0) as (_, client):
        trades: list[dict[str, Any]] = []
        while len(trades) < 10:
            _, trades = await client.get("/api/v3/trades", symbol="BTCUSD")
    async with running(tmp_path, **settings, simulation_orders_per_sec=0.01) as (_exchange, client):
        last = float(trades[-1]["price"])
        depth: dict[str, Any] = {"bids": [], "asks": []}
        while not (depth["bids"] and depth["asks"]):
            _, depth = await client.get("/api/v3/depth", symbol="BTCUSD")
        assert abs(float(depth["bids"][0][0]) / last - 1) < 0.01
        assert abs(float(depth["asks"][0][0]) / last - 1) < 0.01


async def test_the_master_key_of_another_exchange_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path):
        pass
    (tmp_path / "master.key").write_bytes(os.urandom(32))
    with pytest.raises(Damaged, match="opens none of the 2 API secrets"):
        async with running(tmp_path):
            pass


async def test_an_emptied_ledger_is_not_founded_again(tmp_path: Path) -> None:
    async with running(tmp_path):
        pass
    (tmp_path / "outcry.db").write_bytes(b"")
    with pytest.raises(Damaged, match="says that there was an exchange"):
        async with running(tmp_path):
            pass
    assert (tmp_path / "outcry.db").stat().st_size == 0


async def test_stopping_what_never_started_is_no_trouble(tmp_path: Path) -> None:
    exchange = Exchange(Settings(data_dir=str(tmp_path)), lambda line: None)
    await exchange.stop()


def test_a_client_of_kafka_that_is_not_installed_is_told_with_the_way_to_have_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "outcry.adapters.kafka.confluent", raising=False)
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    named = {f"OUTCRY_{name}": "redis://localhost:1" for name in ("REDIS_FANOUT", "REDIS_STATE")}
    named |= {"OUTCRY_KAFKA": "localhost:1", "OUTCRY_POSTGRES": "postgresql://localhost:1/none"}
    settings = read_settings(named | {"OUTCRY_KAFKA_CLIENT": "confluent"}, ClusterSettings)
    with pytest.raises(SettingsError, match=r"outcry\[confluent\]"):
        Backbone(settings)
