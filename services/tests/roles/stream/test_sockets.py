"""Market sockets as clients meet them: paths, subscriptions, payloads, and the depth procedure."""

import asyncio
import json
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from outcry.market.terms import BUY, SELL
from outcry.ports import MarketUpdate, Publication, Spending
from outcry.roles.stream import sockets as sockets_module
from tests.support.gated import ACCOUNT, KEY
from tests.support.inprocess import PATIENCE_SECONDS, until
from tests.support.prints import minute, trade
from tests.support.stage import Stage, asked, called, heard, silent, staged


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with staged(tmp_path) as running:
        yield running


@pytest.mark.parametrize("path", ["/ws/btcusd@trade", "/ws/ethusd@trade/btcusd@trade"])
async def test_a_raw_stream_sends_bare_payloads(stage: Stage, path: str) -> None:
    client = await stage.client(path)
    await stage.happen(trades=(trade(1),))
    told = await heard(client)
    assert (told["e"], told["s"], told["t"]) == ("trade", "BTCUSD", 1)


async def test_a_combined_stream_wraps_payloads_with_their_name(stage: Stage) -> None:
    client = await stage.client("/stream?streams=btcusd@trade/btcusd@aggTrade")
    await stage.happen(trades=(trade(1, agg=9), trade(2, agg=9)))
    told = [await heard(client) for _ in range(3)]
    assert [(each["stream"], each["data"]["e"]) for each in told] == [
        ("btcusd@trade", "trade"), ("btcusd@trade", "trade"), ("btcusd@aggTrade", "aggTrade"),
    ]  # fmt: skip
    assert told[2]["data"]["a"] == 9


@pytest.mark.parametrize("path", ["/ws", "/ws/", "/ws/7", "/stream", "/stream/ws/3", "/stream?streams="])
async def test_a_client_may_connect_first_and_subscribe_later(stage: Stage, path: str) -> None:
    client = await stage.client(path)
    assert await asked(client, "SUBSCRIBE", "btcusd@trade") == {"result": None, "id": 1}
    await stage.happen(trades=(trade(1),))
    told = await heard(client)
    assert told.get("data", told)["t"] == 1
    assert ("data" in told) == (path in ("/stream", "/stream?streams="))


async def test_subscriptions_are_listed_and_end(stage: Stage) -> None:
    client = await stage.client("/ws/btcusd@trade")
    await asked(client, "SUBSCRIBE", "btcusd@depth", "btcusd@trade", "no@such")
    listed = await asked(client, "LIST_SUBSCRIPTIONS", request_id="x")
    assert listed == {"result": ["btcusd@trade", "btcusd@depth", "no@such"], "id": "x"}
    assert await asked(client, "UNSUBSCRIBE", "btcusd@trade", "never@was") == {"result": None, "id": 1}
    await stage.happen(trades=(trade(1),))
    assert await silent(client)
    assert set(stage.hub.channels) == {"btcusd@depth"}


async def test_a_subscription_asked_for_twice_is_told_once(stage: Stage) -> None:
    client = await stage.client("/ws/btcusd@trade/btcusd@trade")
    await asked(client, "SUBSCRIBE", "btcusd@trade")
    await stage.happen(trades=(trade(1),))
    await heard(client)
    assert await silent(client)


async def test_the_combined_property_changes_the_wrapping(stage: Stage) -> None:
    client = await stage.client("/ws/btcusd@trade")
    assert (await asked(client, "GET_PROPERTY", "combined"))["result"] is False
    assert (await asked(client, "SET_PROPERTY", "combined", True))["result"] is None
    assert (await asked(client, "GET_PROPERTY", "combined"))["result"] is True
    await stage.happen(trades=(trade(1),))
    assert (await heard(client))["stream"] == "btcusd@trade"


async def test_a_bad_control_message_is_answered_and_the_socket_lives(stage: Stage) -> None:
    client = await stage.client("/ws")
    await client.send("{")
    assert (await heard(client))["code"] == 3
    assert (await asked(client, "SUBSCRIBE", 5))["code"] == 2
    assert (await asked(client, "SUBSCRIBE", "btcusd@trade"))["result"] is None


async def test_times_come_in_microseconds_on_request(stage: Stage) -> None:
    client = await stage.client("/stream?streams=btcusd@trade&timeUnit=MICROSECOND")
    await stage.happen(trades=(trade(1),))
    assert (await heard(client))["data"]["T"] == stage.front.clock.now_ms() * 1000
    with pytest.raises(InvalidStatus) as caught:
        await stage.client("/ws/btcusd@trade?timeUnit=FORTNIGHT")
    assert caught.value.response.status_code == 400
    assert json.loads(caught.value.response.body)["code"] == -1194


async def collect(client: ClientConnection, last_u: int) -> list[Any]:
    """Depth events until the one that ends with ``last_u``."""
    events = []
    while not events or events[-1]["u"] < last_u:
        events.append(await heard(client))
    return events


async def test_depth_windows_follow_each_other_without_a_gap(stage: Stage) -> None:
    clients = [await stage.client(f"/ws/btcusd@depth{speed}") for speed in ("@100ms", "", "@1000ms")]
    for step in range(40):
        await stage.happen((BUY, 100 + step % 7, step % 3), (SELL, 200, step + 1))
        if step % 3 == 0:
            stage.beat(300)
    stage.beat(1100)
    fast, slow, named = [await collect(client, 80) for client in clients]
    assert slow == named
    assert len(fast) > len(slow) > 1
    for events in (fast, slow):
        assert events[0]["U"] == 1
        assert all(later["U"] == event["u"] + 1 for event, later in pairwise(events))
        assert book_of(events) == await engine_book(stage)


async def test_a_client_that_follows_the_depth_procedure_has_the_engines_book(stage: Stage) -> None:
    await stage.happen((BUY, 90, 5), (SELL, 110, 5))
    client = await stage.client("/ws/btcusd@depth@100ms")
    await stage.happen((BUY, 91, 1))
    stage.beat()
    first = await heard(client)
    await stage.happen((BUY, 91, 0), (SELL, 109, 2))
    snapshot = await stage.front.venue.feed.book(1, 5000)
    assert snapshot is not None
    assert snapshot.update_id >= first["U"] - 1
    await stage.happen((SELL, 110, 0))
    stage.beat()
    later = await heard(client)
    assert later["U"] <= snapshot.update_id + 1 <= later["u"]
    held = {"b": dict(levels(snapshot.bids)), "a": dict(levels(snapshot.asks))}
    apply(held, later)
    assert held == await engine_book(stage)


async def test_a_gap_closes_the_symbols_clients_and_no_others(stage: Stage) -> None:
    await stage.happen((BUY, 90, 5))
    depth, other = await stage.client("/ws/btcusd@depth"), await stage.client("/ws/ethusd@depth")
    stage.seq += 1
    stage.u += 1
    await stage.happen((BUY, 91, 5))
    with pytest.raises(ConnectionClosed):
        await asyncio.wait_for(depth.recv(), PATIENCE_SECONDS)
    assert depth.close_code == 1012
    assert await silent(other)


async def test_a_restarted_engine_that_lost_nothing_disturbs_nobody(stage: Stage) -> None:
    await stage.happen((BUY, 90, 5))
    stage.beat()
    client = await stage.client("/ws/btcusd@depth@100ms")
    await stage.front.venue.feed.publish(_publication(stage, snapshot=True))
    await stage.happen((BUY, 91, 5))
    stage.beat()
    assert (await heard(client))["U"] == 2


async def test_partial_depth_shows_the_best_levels_and_comes_to_newcomers_too(stage: Stage) -> None:
    await stage.happen(*[(BUY, 100 - n, n + 1) for n in range(8)], (SELL, 101, 3))
    client = await stage.client("/ws/btcusd@depth5@100ms")
    await stage.settled()
    stage.beat()
    told = await heard(client)
    assert told["lastUpdateId"] == 9
    assert [price for price, _ in told["bids"]] == [f"{p / 100:.8f}" for p in (100, 99, 98, 97, 96)]
    assert told["asks"] == [["1.01000000", "0.00003000"]]
    stage.beat(300)
    assert await silent(client)


async def test_book_ticker_tells_each_change_of_the_best_prices_at_once(stage: Stage) -> None:
    await stage.happen((BUY, 90, 5))
    client, every = await stage.client("/ws/btcusd@bookTicker"), await stage.client("/ws/!bookTicker")
    await stage.settled()
    await stage.happen((SELL, 110, 5))
    expected = {"u": 2, "s": "BTCUSD", "b": "0.90000000", "B": "0.00005000", "a": "1.10000000", "A": "0.00005000"}
    assert await heard(client) == await heard(every) == expected
    await stage.happen((SELL, 120, 5))
    assert await silent(client)
    newcomer = await stage.client("/ws/btcusd@bookTicker")
    await stage.settled()
    stage.beat()
    assert (await heard(newcomer))["a"] == "1.10000000"


async def test_klines_go_on_where_the_ledger_stands(stage: Stage) -> None:
    clock = stage.front.clock
    clock.us = (clock.us // 60_000_000 * 60_000 + 30_000) * 1000
    open_ms = clock.now_ms() - 30_000
    await stage.front.store.ledger.put_candles([minute(open_ms, 95, 10, first=1, last=3)])
    client = await stage.client("/ws/btcusd@kline_1m")
    await stage.settled()
    await stage.happen(trades=(trade(4, 97, 5),))
    stage.beat(2000)
    k = (await heard(client))["k"]
    assert (k["t"], k["i"], k["o"], k["c"], k["n"], k["x"]) == (open_ms, "1m", "0.95000000", "0.97000000", 4, False)
    stage.beat(32_000)
    ended = [told["k"] for told in [await heard(client) for _ in range(16)] if told["k"]["x"]]
    assert [(k["t"], k["c"], k["n"]) for k in ended] == [(open_ms, "0.97000000", 4)]


async def test_tickers_come_when_something_changed(stage: Stage) -> None:
    single, every = await stage.client("/ws/btcusd@miniTicker"), await stage.client("/ws/!miniTicker@arr")
    await stage.settled()
    await stage.happen(trades=(trade(1, 100, 7),))
    stage.beat(1000)
    told = await heard(single)
    assert (told["e"], told["c"], told["v"]) == ("24hrMiniTicker", "1.00000000", "0.00007000")
    assert told in await heard(every)
    stage.beat(3000)
    assert await silent(single)


async def test_the_full_ticker_and_the_average_price_have_their_fields(stage: Stage) -> None:
    await stage.happen((BUY, 99, 1), (SELL, 102, 2))
    client = await stage.client("/stream?streams=btcusd@ticker/btcusd@ticker_1h/btcusd@avgPrice")
    await stage.settled()
    await stage.happen(trades=(trade(1, 100, 7), trade(2, 101, 1)))
    stage.beat(1000)
    told = {each["stream"]: each["data"] for each in [await heard(client) for _ in range(3)]}
    full = told["btcusd@ticker"]
    assert set(full) == set("eEspPwxcQbBaAohlvqOCFLn")
    assert (full["Q"], full["b"], full["a"], full["n"]) == ("0.00001000", "0.99000000", "1.02000000", 2)
    assert set(told["btcusd@ticker_1h"]) == set("eEspPohlcwvqOCFLn")
    assert told["btcusd@avgPrice"] == {
        "e": "avgPrice", "E": stage.front.clock.now_ms() // 1000 * 1000, "s": "BTCUSD", "i": "5m", "w": "1.00125000",
        "T": told["btcusd@avgPrice"]["T"],
    }  # fmt: skip


async def test_a_listen_key_streams_the_account_and_ends(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets_module, "LISTEN_KEY_SECONDS", 0.05)
    api = await stage.client("/ws-api/v3")
    listen_key = (await called(api, "userDataStream.start", {"apiKey": KEY}))["result"]["listenKey"]
    again = (await called(api, "userDataStream.start", {"apiKey": KEY}))["result"]["listenKey"]
    assert again == listen_key
    raw, combined = await stage.client(f"/ws/{listen_key}"), await stage.client(f"/stream?streams={listen_key}")
    await until(lambda: stage.front.venue.feed.follows(ACCOUNT))
    stage.users.transferred(1001, 1, 500_000_000)
    told = await heard(raw)
    assert (told["e"], told["a"], told["d"]) == ("balanceUpdate", "USD", "5.00000000")
    assert (await heard(combined)) == {"stream": listen_key, "data": told}
    params = {"apiKey": KEY, "listenKey": listen_key}
    assert (await called(api, "userDataStream.ping", params))["result"] == {}
    assert (await called(api, "userDataStream.stop", params))["result"] == {}
    assert (await called(api, "userDataStream.ping", params))["error"]["code"] == -1125
    events = [(await heard(raw))["e"]]
    while events[-1] == "outboundAccountPosition":  # of the transfer, as soon as it is read
        events.append((await heard(raw))["e"])
    assert events[-1] == "listenKeyExpired"


async def test_shutdown_is_announced_before_the_close(stage: Stage) -> None:
    raw, combined = await stage.client("/ws"), await stage.client("/stream")
    farewell = asyncio.create_task(stage.sockets.goodbye(0.1))
    assert (await heard(raw))["e"] == "serverShutdown"
    told = await heard(combined)
    assert (told["stream"], told["data"]["e"]) == ("!serverShutdown", "serverShutdown")
    for client in (raw, combined):
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(client.recv(), PATIENCE_SECONDS)
        assert client.close_code == 1001
    await farewell


async def test_who_leaves_is_forgotten(stage: Stage) -> None:
    client = await stage.client("/ws/btcusd@depth5/btcusd@kline_1m/btcusd@ticker")
    assert len(stage.hub.channels) == 3
    await client.close()
    await until(lambda: (stage.hub.channels, stage.sockets.clients) == ({}, {}))


async def test_binances_limits_hold_when_chosen(tmp_path: Path) -> None:
    async with staged(tmp_path, limits="binance") as stage:
        client = await stage.client("/ws")
        for number in range(8):
            await client.send(json.dumps({"method": "LIST_SUBSCRIPTIONS", "id": number}))
        with pytest.raises(ConnectionClosed):
            while True:
                await asyncio.wait_for(client.recv(), PATIENCE_SECONDS)
        assert client.close_code == 1008
        many = await stage.client("/ws")
        names = [f"s{number}@trade" for number in range(1025)]
        assert (await asked(many, "SUBSCRIBE", *names))["code"] == 2
        await stage.front.venue.shared.spend([Spending("connects:127.0.0.1", 300, 300, 300_000)])
        with pytest.raises(InvalidStatus) as caught:
            await connect(f"ws://{stage.address}/ws")
        assert caught.value.response.status_code == 429
        assert "Retry-After" in caught.value.response.headers


def levels(side: tuple[tuple[int, int], ...]) -> list[tuple[str, str]]:
    return [(f"{price / 100:.8f}", f"{lots / 100_000:.8f}") for price, lots in side]


def apply(held: dict[str, dict[str, str]], event: Any) -> None:
    for side in ("b", "a"):
        for price, qty in event[side]:
            if qty == "0.00000000":
                held[side].pop(price, None)
            else:
                held[side][price] = qty


def book_of(events: list[Any]) -> dict[str, dict[str, str]]:
    held: dict[str, dict[str, str]] = {"b": {}, "a": {}}
    for event in events:
        apply(held, event)
    return held


async def engine_book(stage: Stage) -> dict[str, dict[str, str]]:
    book = await stage.front.venue.feed.book(1, 5000)
    assert book is not None
    return {"b": dict(levels(book.bids)), "a": dict(levels(book.asks))}


def _publication(stage: Stage, **change: Any) -> Any:
    update = MarketUpdate(
        symbol_id=1, part=0, epoch=2, first_seq=stage.seq + 1, last_seq=stage.seq, first_u=stage.u + 1, last_u=stage.u,
        time_ms=stage.front.clock.now_ms(), levels=((BUY, 90, 5),), **change,
    )  # fmt: skip
    return Publication(updates=(update,))


async def test_no_address_of_a_socket_is_logged(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    client = await stage.client("/ws/" + "k" * 64)
    await asked(client, "LIST_SUBSCRIPTIONS")
    assert "k" * 64 not in caplog.text
