"""The WebSocket API as clients meet it: requests, sessions, many at a time, and the account's events."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from outcry.market.events import OrderAccepted
from outcry.ports import Execution, Spending
from outcry.roles.api.endpoint import Call, Endpoint, Param
from outcry.roles.api.signing import ws_payloads
from outcry.roles.stream import session as session_module
from outcry.roles.stream import userdata
from outcry.roles.stream.wsapi import MAX_IN_FLIGHT
from tests.support.feeds import PATIENCE_SECONDS, until
from tests.support.gated import ACCOUNT, KEY, PRIVATE, READER, READER_SECRET
from tests.support.orders import order_row
from tests.support.stage import Stage, called, heard, silent, staged

BUSY = {"now": 0, "most": 0}


async def wait_a_while(call: Call) -> Any:
    BUSY["now"] += 1
    BUSY["most"] = max(BUSY["most"], BUSY["now"])
    await asyncio.sleep(call.params["ms"] / 1000)
    BUSY["now"] -= 1
    return {"waited": call.params["ms"]}


async def break_down(call: Call) -> Any:
    raise RuntimeError("as the test wished")


async def tell_time(call: Call) -> Any:
    return {"serverTime": 1_700_000_000_000}


EXTRA = (
    Endpoint(
        method="GET", path="/wait", answer=wait_a_while, ws="wait",
        params=(Param(name="ms", kind="int", required=True),),
    ),
    Endpoint(method="GET", path="/break", answer=break_down, ws="break"),
    Endpoint(method="GET", path="/api/v3/time", answer=tell_time, ws="time"),
)  # fmt: skip


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with staged(tmp_path, endpoints=EXTRA) as running:
        yield running


@pytest.mark.parametrize("request_id", ["e2a85d9f-07a5-4f94-8d5f-789dc3deb097", 7, -1, None, 'ü"\\', 1 << 70])
async def test_the_id_is_echoed_as_it_came(stage: Stage, request_id: Any) -> None:
    client = await stage.client("/ws-api/v3")
    answer = await called(client, "ping", request_id=request_id)
    assert (answer["id"], answer["status"], answer["result"]["params"]) == (request_id, 200, {})


async def test_a_method_may_carry_its_version(stage: Stage) -> None:
    client = await stage.client("/ws-api/v3")
    assert (await called(client, "v3/ping"))["status"] == 200


async def test_rate_limits_come_unless_they_are_not_wanted(stage: Stage) -> None:
    client = await stage.client("/ws-api/v3")
    [weight] = (await called(client, "ping"))["rateLimits"]
    assert (weight["rateLimitType"], weight["interval"], weight["intervalNum"]) == ("REQUEST_WEIGHT", "MINUTE", 1)
    assert weight["count"] == 3
    assert "rateLimits" not in await called(client, "ping", {"returnRateLimits": False})
    quiet = await stage.client("/ws-api/v3?returnRateLimits=false")
    assert "rateLimits" not in await called(quiet, "ping")
    assert "rateLimits" in await called(quiet, "ping", {"returnRateLimits": True})
    order = await called(client, "order.place", stage.signed(symbol="BTCUSD", side="BUY"))
    assert [each["rateLimitType"] for each in order["rateLimits"]] == ["ORDERS", "ORDERS", "REQUEST_WEIGHT"]


@pytest.mark.parametrize(
    ("text", "code", "request_id"),
    [
        ("{", -1135, None),
        ("[]", -1135, None),
        ("5", -1135, None),
        ('{"id":1}', -1102, 1),
        ('{"id":1,"method":5}', -1102, 1),
        ('{"id":1,"method":"ping","params":[1]}', -1102, 1),
        ('{"id":{"a":1},"method":"ping"}', -1102, None),
        ('{"id":1.5,"method":"ping"}', -1102, None),
        ('{"id":1,"method":"no.such"}', -1103, 1),
        ('{"id":1,"method":"order.place","params":{"symbol":NaN}}', -1135, None),
        ('{"id":1,"method":"order.place","params":{"symbol":"BTCUSD","side":"BUY"}}', -1102, 1),
    ],
)
async def test_a_bad_request_is_answered_and_the_socket_lives(
    stage: Stage, text: str, code: int, request_id: Any
) -> None:
    client = await stage.client("/ws-api/v3")
    await client.send(text)
    answer = await heard(client)
    assert (answer["status"], answer["error"]["code"], answer["id"]) == (400, code, request_id)
    assert (await called(client, "ping"))["status"] == 200


async def test_what_nobody_expected_is_answered_as_unknown(stage: Stage) -> None:
    client = await stage.client("/ws-api/v3")
    answer = await called(client, "break")
    assert (answer["status"], answer["error"]["code"], answer["id"]) == (500, -1000, 1)
    assert (await called(client, "ping"))["status"] == 200


async def test_a_number_keeps_the_text_it_was_signed_with(stage: Stage) -> None:
    client = await stage.client("/ws-api/v3")
    params = stage.signed(symbol="BTCUSD", side="BUY", quantity="0.00000010")
    text = json.dumps({"id": 1, "method": "order.place", "params": params}).replace('"0.00000010"', "0.00000010")
    await client.send(text)
    assert (await heard(client))["result"]["params"]["quantity"] == 10


async def test_times_come_in_microseconds_on_request(stage: Stage) -> None:
    client = await stage.client("/ws-api/v3?timeUnit=MICROSECOND")
    assert (await called(client, "time"))["result"]["serverTime"] == 1_700_000_000_000_000


async def test_requests_on_one_socket_are_answered_as_they_finish(stage: Stage) -> None:
    client = await stage.client("/ws-api/v3")
    for number, ms in enumerate((150, 50, 100)):
        await client.send(json.dumps({"id": number, "method": "wait", "params": {"ms": ms}}))
    assert [(await heard(client))["id"] for _ in range(3)] == [1, 2, 0]


async def test_a_socket_has_a_bound_of_requests_in_flight(stage: Stage) -> None:
    BUSY["most"] = 0
    client = await stage.client("/ws-api/v3")
    count = MAX_IN_FLIGHT + 100
    for number in range(count):
        await client.send(json.dumps({"id": number, "method": "wait", "params": {"ms": 300}}))
    answers = [await heard(client) for _ in range(count)]
    assert {answer["id"] for answer in answers} == set(range(count))
    assert BUSY["most"] == MAX_IN_FLIGHT


async def test_after_a_logon_requests_need_no_signature(stage: Stage) -> None:
    client = await stage.client("/ws-api/v3")
    before = await called(client, "session.status")
    assert (before["result"]["apiKey"], before["result"]["userDataStream"]) == (None, False)
    logon = await called(client, "session.logon", stage.signed())
    assert set(logon["result"]) == {
        "apiKey", "authorizedSince", "connectedSince", "returnRateLimits", "serverTime", "userDataStream",
    }  # fmt: skip
    assert logon["result"]["apiKey"] == KEY
    now = stage.front.clock.now_ms()
    answer = await called(client, "order.place", {"symbol": "BTCUSD", "side": "BUY", "timestamp": now})
    assert answer["result"]["account"] == ACCOUNT
    assert (await called(client, "session.logout"))["result"]["apiKey"] is None
    assert (await called(client, "account.status", {"timestamp": now}))["error"]["code"] == -1102


async def test_an_ed25519_key_logs_on_as_on_binance(stage: Stage) -> None:
    client = await stage.client("/ws-api/v3")
    params = {"apiKey": "curve-key-1", "timestamp": stage.front.clock.now_ms()}
    signature = base64.b64encode(PRIVATE.sign(ws_payloads(params)[0])).decode()
    answer = await called(client, "session.logon", params | {"signature": signature})
    assert answer["result"]["apiKey"] == "curve-key-1"


@pytest.mark.parametrize(
    ("method", "params", "code", "status"),
    [
        ("session.logon", {}, -1102, 400),
        ("session.logon", {"apiKey": KEY, "timestamp": 1, "signature": "00"}, -1021, 400),
        ("session.logon", {"apiKey": "nobody-knows", "timestamp": 1, "signature": "00"}, -2015, 401),
        ("userDataStream.subscribe", {}, -1102, 400),
        ("userDataStream.subscribe", {"apiKey": KEY}, -2015, 401),
        ("userDataStream.subscribe.signature", {}, -1102, 400),
        ("userDataStream.unsubscribe", {"subscriptionId": 5}, -2036, 400),
    ],
)
async def test_sessions_refuse_in_words(stage: Stage, method: str, params: Any, code: int, status: int) -> None:
    client = await stage.client("/ws-api/v3")
    answer = await called(client, method, params)
    assert (answer["error"]["code"], answer["status"]) == (code, status)


async def test_the_accounts_events_come_on_the_same_socket(stage: Stage) -> None:
    client = await stage.client("/ws-api/v3")
    await called(client, "session.logon", stage.signed())
    assert (await called(client, "userDataStream.subscribe"))["result"] == {"subscriptionId": 0}
    assert (await called(client, "userDataStream.subscribe"))["error"]["code"] == -2035
    signed = stage.signed(READER_SECRET, apiKey=READER)
    assert (await called(client, "userDataStream.subscribe.signature", signed))["error"]["code"] == -2035
    await stage.privately(new_order())
    told = await heard(client)
    assert (told["subscriptionId"], told["event"]["e"], told["event"]["x"]) == (0, "executionReport", "NEW")
    position = await heard(client)
    assert position["event"]["e"] == "outboundAccountPosition"
    assert {each["a"] for each in position["event"]["B"]} == {"BTC", "USD"}
    assert position["event"]["B"][0]["f"] == "10000.00000000"


async def test_a_signed_subscription_needs_no_logon_and_outlives_a_logout(stage: Stage) -> None:
    client = await stage.client("/ws-api/v3")
    answer = await called(client, "userDataStream.subscribe.signature", stage.signed())
    assert answer["result"] == {"subscriptionId": 0}
    assert (await called(client, "session.subscriptions"))["result"] == [{"subscriptionId": 0}]
    assert (await called(client, "session.logout"))["result"]["userDataStream"] is True
    await stage.privately(new_order())
    assert (await heard(client))["event"]["x"] == "NEW"
    assert (await heard(client))["event"]["e"] == "outboundAccountPosition"
    await client.send('{"id":9,"method":"userDataStream.unsubscribe"}')
    assert (await heard(client))["event"]["e"] == "eventStreamTerminated"
    assert (await heard(client))["result"] == {}
    await stage.privately(new_order())
    assert await silent(client)


async def test_engines_know_of_a_follower_for_a_while_before_it_is_promised_anything(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(userdata, "SETTLE_SECONDS", 1.0)
    client, feed = await stage.client("/ws-api/v3"), stage.front.venue.feed
    asking = asyncio.create_task(called(client, "userDataStream.subscribe.signature", stage.signed()))
    await until(lambda: feed.follows(ACCOUNT))
    await asyncio.sleep(0.2)
    assert not asking.done()
    assert (await asking)["result"] == {"subscriptionId": 0}


async def test_a_client_whose_events_may_be_missing_is_closed_and_one_that_follows_none_is_not(stage: Stage) -> None:
    client, other = await stage.client("/ws-api/v3"), await stage.client("/ws-api/v3")
    await called(client, "userDataStream.subscribe.signature", stage.signed())
    stage.users.start_again([ACCOUNT])
    with pytest.raises(ConnectionClosed) as closed:
        await heard(client)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1012, "messages are missing; start again")
    assert (await called(other, "ping"))["status"] == 200


async def test_a_logout_ends_the_subscription_of_the_logon(stage: Stage) -> None:
    client = await stage.client("/ws-api/v3")
    await called(client, "session.logon", stage.signed())
    await called(client, "userDataStream.subscribe")
    await client.send('{"id":9,"method":"session.logout"}')
    told = await heard(client)
    assert (told["subscriptionId"], told["event"]["e"]) == (0, "eventStreamTerminated")
    assert (await heard(client))["result"]["userDataStream"] is False


async def test_a_revoked_key_hears_no_more(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "KEY_SECONDS", 0.05)
    client = await stage.client("/ws-api/v3")
    await called(client, "session.logon", stage.signed())
    await called(client, "userDataStream.subscribe")
    await stage.front.store.ledger.revoke_key(KEY, stage.front.clock.now_ms(), "test")
    stage.front.gate.keys.forget(KEY)
    assert (await heard(client))["event"]["e"] == "eventStreamTerminated"
    now = stage.front.clock.now_ms()
    answer = await called(client, "account.status", {"timestamp": now})
    assert (answer["status"], answer["error"]["code"]) == (401, -2015)
    assert (await called(client, "session.status"))["result"]["apiKey"] is None


async def test_a_socket_in_microseconds_hears_its_account_in_microseconds(stage: Stage) -> None:
    client = await stage.client("/ws-api/v3?timeUnit=microsecond")
    await called(client, "userDataStream.subscribe.signature", stage.signed())
    await stage.privately(new_order())
    assert (await heard(client))["event"]["T"] == 1_700_000_000_000_000


async def test_balance_changes_are_told_together(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(userdata, "COALESCE_SECONDS", 0.5)
    client = await stage.client("/ws-api/v3")
    await called(client, "userDataStream.subscribe.signature", stage.signed())
    await until(lambda: stage.users._tapes[ACCOUNT]._balances is not None)
    for number in range(3):
        await stage.front.store.ledger.transfer(ACCOUNT, 1, 100, f"more {number}", actor="test")
        await stage.privately(moved=(ACCOUNT,))
    told = await heard(client)
    assert told["event"]["B"] == [{"a": "USD", "f": "10000.00000300", "l": "0.00000000"}]
    assert await silent(client, 1.0)


async def test_shutdown_is_announced_before_the_close(stage: Stage) -> None:
    client = await stage.client("/ws-api/v3")
    farewell = asyncio.create_task(stage.api.goodbye(0.1))
    assert (await heard(client))["event"]["e"] == "serverShutdown"
    with pytest.raises(ConnectionClosed):
        await asyncio.wait_for(client.recv(), PATIENCE_SECONDS)
    assert client.close_code == 1001
    await farewell


async def test_who_asks_too_much_is_told_when_to_come_back(tmp_path: Path) -> None:
    async with staged(tmp_path, limits="binance") as stage:
        client = await stage.client("/ws-api/v3")
        await stage.front.venue.shared.spend([Spending("weight:127.0.0.1", 6000, 6000, 60_000)])
        answer = await called(client, "ping")
        assert (answer["status"], answer["error"]["code"]) == (429, -1003)
        assert answer["error"]["data"]["retryAfter"] >= answer["error"]["data"]["serverTime"]


def new_order() -> Execution:
    event = OrderAccepted(symbol_id=1, order_id=9, account=ACCOUNT)
    return Execution(account_id=ACCOUNT, symbol_id=1, time_ms=1_700_000_000_000, event=event, order=order_row())
