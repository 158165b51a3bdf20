"""Streams and the WebSocket API with the whole exchange behind them."""

import asyncio
import contextlib
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from outcry.ports import OutOfService
from outcry.roles.admin.control import ask_running
from outcry.roles.api.signing import ws_payloads
from outcry.roles.stream import tapes
from tests.support.inprocess import KEY, SECRET, Client, running
from tests.support.served import served
from tests.support.stage import called, heard

ORDERS = 60


class Floor:
    """A running exchange and its address."""

    def __init__(self, address: str, client: Client) -> None:
        self.address = address
        self.rest = client

    def connect(self, path: str) -> Any:
        return connect(f"ws://{self.address}{path}", max_size=None, max_queue=None)  # the unread must not delay the end


@pytest.fixture
async def floor(tmp_path: Path) -> AsyncIterator[Floor]:
    async with running(tmp_path) as (exchange, client), served(exchange.app) as address:
        yield Floor(address, client)


def now() -> int:
    return int(time.time() * 1000)


async def log_on(client: ClientConnection) -> None:
    params = {"apiKey": KEY, "timestamp": now()}
    signature = hmac.new(SECRET.encode(), ws_payloads(params)[0], hashlib.sha256).hexdigest()
    assert (await called(client, "session.logon", params | {"signature": signature}))["status"] == 200


async def events_until(
    client: ClientConnection, is_all: Callable[[list[dict[str, Any]]], bool]
) -> list[dict[str, Any]]:
    """Events up to the last that is expected, and those that follow it at once."""
    told: list[dict[str, Any]] = []
    while not is_all(told):
        told.append((await heard(client))["event"])
    with contextlib.suppress(TimeoutError):
        while True:
            told.append(json.loads(await asyncio.wait_for(client.recv(), 0.2))["event"])
    return told


def free_of(events: list[dict[str, Any]]) -> dict[str, str]:
    """What is free of each asset by the newest event that names it."""
    return {each["a"]: each["f"] for event in events if event["e"] == "outboundAccountPosition" for each in event["B"]}


def limit(number: int, side: str, price: int) -> str:
    params = {
        "symbol": "BTCUSD", "side": side, "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.001",
        "price": str(price), "timestamp": now(),
    }  # fmt: skip
    return json.dumps({"id": number, "method": "order.place", "params": params})


async def test_pipelined_orders_are_worked_on_together_and_each_is_reported(floor: Floor) -> None:
    async with floor.connect("/ws-api/v3") as trading, floor.connect("/ws-api/v3") as listening:
        await log_on(trading)
        await log_on(listening)
        await called(listening, "userDataStream.subscribe")
        for number in range(ORDERS):
            await trading.send(limit(number, "BUY", 50_000 - number))
        answers = {answer["id"]: answer for answer in [await heard(trading) for _ in range(ORDERS)]}
        assert {answer["status"] for answer in answers.values()} == {200}
        ids = [answers[number]["result"]["orderId"] for number in range(ORDERS)]
        assert ids == sorted(ids)
        reported = []
        while len(reported) < ORDERS:
            event = (await heard(listening))["event"]
            if event["e"] == "executionReport":
                reported.append(event["i"])
        assert reported == ids


async def test_a_replaced_order_is_reported_canceled_before_its_successor_is_new(floor: Floor) -> None:
    async with floor.connect("/ws-api/v3") as trading, floor.connect("/ws-api/v3") as listening:
        await log_on(trading)
        await log_on(listening)
        await trading.send(limit(0, "BUY", 50_000))
        old = (await heard(trading))["result"]["orderId"]
        await called(listening, "userDataStream.subscribe")
        replacing = json.loads(limit(1, "BUY", 49_000))["params"] | {
            "cancelReplaceMode": "STOP_ON_FAILURE", "cancelOrderId": old, "cancelNewClientOrderId": "away",
        }  # fmt: skip
        answer = await called(trading, "order.cancelReplace", replacing)
        new = answer["result"]["newOrderResponse"]["orderId"]
        told = []
        while len(told) < 2:
            event = (await heard(listening))["event"]
            if event["e"] == "executionReport":
                told.append((event["i"], event["x"], event["c"] if event["x"] == "CANCELED" else ""))
        assert told == [(old, "CANCELED", "away"), (new, "NEW", "")]


async def test_an_amended_leg_is_told_with_its_list_and_the_waiting_one_still_waits(floor: Floor) -> None:
    async with floor.connect("/ws-api/v3") as trading, floor.connect("/ws-api/v3") as listening:
        await log_on(trading)
        await log_on(listening)
        for number, side in enumerate(("SELL", "BUY")):  # a first price
            await trading.send(limit(number, side, 50_000))
            await heard(trading)
        await called(listening, "userDataStream.subscribe")
        pair = {
            "symbol": "BTCUSD", "side": "SELL", "quantity": "0.01", "aboveType": "LIMIT_MAKER", "abovePrice": "60000",
            "aboveClientOrderId": "above", "belowType": "STOP_LOSS", "belowStopPrice": "40000",
            "belowClientOrderId": "below", "timestamp": now(),
        }  # fmt: skip
        assert (await called(trading, "orderList.place.oco", pair))["status"] == 200
        amend = {"symbol": "BTCUSD", "origClientOrderId": "above", "newQty": "0.005", "timestamp": now()}
        await called(trading, "order.amend.keepPriority", amend | {"newClientOrderId": "thin"})
        await called(trading, "order.amend.keepPriority", amend | {"origClientOrderId": "thin", "newQty": "0.004",
                                                                   "newClientOrderId": "thin"})  # fmt: skip
        told = await events_until(listening, lambda told: sum(event.get("x") == "REPLACED" for event in told) == 4)
    lists = [(event["l"], [leg["c"] for leg in event["O"]]) for event in told if event["e"] == "listStatus"]
    assert lists == [("EXEC_STARTED", ["above", "below"]), ("UPDATED", ["thin", "below"])]
    amended = [event for event in told if event.get("x") == "REPLACED"]
    assert [(each["c"], each["C"], each["w"], "W" in each) for each in amended] == [
        ("thin", "above", True, True), ("below", "below", False, False),
        ("thin", "thin", True, True), ("below", "below", False, False),
    ]  # fmt: skip


async def test_the_depth_procedure_gives_the_book_that_rest_shows(floor: Floor) -> None:
    async with floor.connect("/ws-api/v3") as trading, floor.connect("/ws/btcusd@depth@100ms") as depth:
        await log_on(trading)
        await trading.send(limit(0, "BUY", 49_000))
        await heard(trading)
        first = await heard(depth)
        for number in range(1, ORDERS):
            await trading.send(limit(number, "BUY" if number % 3 else "SELL", 50_000 + number % 7))
            if number == ORDERS // 2:
                _, snapshot = await floor.rest.get("/api/v3/depth", symbol="BTCUSD", limit=5000)
        for _ in range(1, ORDERS):
            await heard(trading)
        assert snapshot["lastUpdateId"] >= first["U"] - 1
        await asyncio.sleep(0.3)
        _, wanted = await floor.rest.get("/api/v3/depth", symbol="BTCUSD", limit=5000)
        held, u = {side: dict(snapshot[side]) for side in ("bids", "asks")}, snapshot["lastUpdateId"]
        while u < wanted["lastUpdateId"]:
            event = await heard(depth)
            if event["u"] <= u:
                continue
            assert event["U"] <= u + 1
            u = event["u"]
            for side, name in (("bids", "b"), ("asks", "a")):
                held[side].update(event[name])
        shown = {side: {p: q for p, q in held[side].items() if q != "0.00000000"} for side in held}
        assert shown == {side: dict(wanted[side]) for side in ("bids", "asks")}


async def test_money_that_comes_or_goes_is_told_once_with_the_new_balance(floor: Floor, tmp_path: Path) -> None:
    async with floor.connect("/ws-api/v3") as listening:
        await log_on(listening)
        await called(listening, "userDataStream.subscribe")
        deposit = {"account": 1001, "asset": "USD", "amount": "5", "reference": "wire 1", "actor": "tester"}
        for _ in range(2):  # the second moves nothing
            await ask_running(tmp_path, "accounts.deposit", deposit)
        await ask_running(tmp_path, "accounts.withdraw", deposit | {"asset": "BTC", "reference": "wire 2"})
        told = await events_until(listening, lambda told: free_of(told).get("BTC") == "95.00000000")
    updates = [(event["a"], event["d"]) for event in told if event["e"] == "balanceUpdate"]
    assert updates == [("USD", "5.00000000"), ("BTC", "-5.00000000")]
    assert free_of(told) == {"USD": "10000005.00000000", "BTC": "95.00000000"}


async def test_a_trade_has_one_time_wherever_it_is_told(floor: Floor) -> None:
    async with (
        floor.connect("/ws-api/v3") as trading,
        floor.connect("/ws-api/v3") as listening,
        floor.connect("/stream?streams=btcusd@trade/btcusd@aggTrade") as tape,
    ):
        await log_on(trading)
        await log_on(listening)
        await called(listening, "userDataStream.subscribe")
        for number in range(ORDERS):
            await trading.send(limit(number, "BUY" if number % 2 else "SELL", 50_000))
        events = [(await heard(tape))["data"] for _ in range(ORDERS)]
        reported: dict[int, int] = {}
        while len(reported) < ORDERS // 2:
            event = (await heard(listening))["event"]
            if event.get("x") == "TRADE":
                reported[event["t"]] = event["T"]
    _, public = await floor.rest.get("/api/v3/trades", symbol="BTCUSD")
    _, private = await floor.rest.signed("GET", "/api/v3/myTrades", symbol="BTCUSD")
    stored = {row["id"]: row["time"] for row in public}
    assert len(stored) == ORDERS // 2
    assert stored == {row["id"]: row["time"] for row in private} == reported
    assert stored == {event["t"]: event["T"] for event in events if event["e"] == "trade"}
    assert stored == {event["l"]: event["T"] for event in events if event["e"] == "aggTrade"}


async def test_trades_that_the_ring_has_forgotten_are_resumed_from_the_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tapes, "RING", 2)
    async with running(tmp_path) as (exchange, client), served(exchange.app) as address:
        floor = Floor(address, client)
        async with floor.connect("/ws-api/v3") as trading, floor.connect("/v1/stream?channels=trades:BTCUSD") as early:
            told = await heard(early)
            await log_on(trading)
            for number in range(1, 11):
                await trading.send(limit(number, "BUY" if number % 2 else "SELL", 50_000))
                await heard(trading)
            assert [(await heard(early))["seq"] for _ in range(5)] == [1, 2, 3, 4, 5]
            late = await floor.connect("/v1/stream")
            asked = {"op": "subscribe", "channel": "trades:BTCUSD", "epoch": told["epoch"], "seq": 1}
            await late.send(json.dumps(asked))
            answer, missed = await heard(late), await heard(late)
            assert (answer["recovered"], answer["seq"]) == (True, 5)
            assert [trade["id"] for trade in missed["trades"]] == [2, 3, 4, 5]
            await late.close()


@pytest.mark.long
async def test_an_order_whose_record_was_lost_is_told_as_expired_with_its_money_back(tmp_path: Path) -> None:
    """Seconds, for no order is given up before its bound."""
    async with running(tmp_path) as (exchange, client), served(exchange.app) as address:
        floor = Floor(address, client)
        async with floor.connect("/ws-api/v3") as trading:
            await log_on(trading)
            assert (await called(trading, "userDataStream.subscribe"))["status"] == 200
            write = exchange.store.journal.append

            async def lose(frames: Sequence[tuple[int, bytes]]) -> list[int]:
                if any(b"lost-1" in frame for _, frame in frames):
                    raise OutOfService("as the test wished")
                return await write(frames)

            exchange.store.journal.append = lose  # type: ignore[method-assign]
            status, refused = await floor.rest.signed(
                "POST", "/api/v3/order", symbol="BTCUSD", side="BUY", type="LIMIT", timeInForce="GTC", quantity="1",
                price="100", newClientOrderId="lost-1", recvWindow="5000",
            )  # fmt: skip
            told = await events_until(trading, lambda events: any(e["e"] == "outboundAccountPosition" for e in events))
        (report,) = [event for event in told if event["e"] == "executionReport"]
        assert (report["c"], report["x"], report["X"], report["eR"]) == (
            "lost-1", "EXPIRED", "EXPIRED", "EXCHANGE_CANCELED",
        )  # fmt: skip
        assert (status, refused.get("status")) == (200, "EXPIRED") or refused.get("code") == -1007
