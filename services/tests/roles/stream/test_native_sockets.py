"""The native stream on real sockets: subscribing, resuming, silence, and the end."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from outcry.market.terms import BUY, SELL
from tests.support.prints import trade
from tests.support.stage import Stage, heard, silent, staged


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with staged(tmp_path) as running:
        yield running


async def asked(client: ClientConnection, op: str, channel: str, **more: Any) -> Any:
    await client.send(json.dumps({"op": op, "channel": channel, **more}))
    return await heard(client)


async def test_depth_begins_with_a_snapshot_and_goes_on_by_windows(stage: Stage) -> None:
    await stage.happen((BUY, 90, 1), (SELL, 95, 1))
    client = await stage.client("/v1/stream")
    told = await asked(client, "subscribe", "depth:BTCUSD", id=3)
    assert told | {"epoch": 0} == {
        "op": "subscribed", "id": 3, "channel": "depth:BTCUSD", "epoch": 0, "seq": 0, "recovered": False,
        "stale": False,
    }  # fmt: skip
    stage.beat()
    snapshot = await heard(client)
    assert (snapshot["type"], snapshot["seq"], snapshot["bids"]) == ("snapshot", 2, [["0.90000000", "0.00001000"]])
    await stage.happen((BUY, 91, 1))
    await stage.happen((BUY, 91, 2))
    stage.beat()
    diff = await heard(client)
    assert (diff["first"], diff["seq"], diff["bids"]) == (3, 4, [["0.91000000", "0.00002000"]])
    assert await asked(client, "unsubscribe", "depth:BTCUSD") == {
        "op": "unsubscribed", "id": None, "channel": "depth:BTCUSD",
    }  # fmt: skip
    await stage.happen((BUY, 92, 2))
    stage.beat()
    assert await silent(client)


async def test_the_url_may_name_channels_and_a_quiet_book_comes_at_once(stage: Stage) -> None:
    await stage.happen((BUY, 90, 1))
    stage.beat()
    client = await stage.client("/v1/stream?channels=trades:BTCUSD,depth:BTCUSD")
    assert [(await heard(client))["channel"] for _ in range(2)] == ["trades:BTCUSD", "depth:BTCUSD"]
    await stage.settled()
    stage.beat()
    assert (await heard(client))["type"] == "snapshot"
    await stage.happen(trades=(trade(1),))
    assert (await heard(client))["trades"][0]["id"] == 1


async def test_a_client_that_comes_back_lacks_nothing(stage: Stage) -> None:
    client = await stage.client("/v1/stream?channels=depth:BTCUSD,trades:BTCUSD")
    await heard(client)
    await heard(client)
    await stage.happen((BUY, 90, 1), trades=(trade(1),))
    first = await heard(client)
    await stage.settled()
    stage.beat()
    snapshot = await heard(client)
    await client.close()
    for number in (2, 3):
        await stage.happen((BUY, 90 + number, 1), trades=(trade(number),))
        stage.beat()
    again = await stage.client("/v1/stream")
    places = {"epoch": snapshot["epoch"]}
    assert (await asked(again, "subscribe", "depth:BTCUSD", seq=snapshot["seq"], **places))["recovered"]
    assert [(await heard(again))["seq"] for _ in range(2)] == [2, 3]
    assert (await asked(again, "subscribe", "trades:BTCUSD", seq=first["seq"], **places))["recovered"]
    assert [(await heard(again))["seq"] for _ in range(2)] == [2, 3]
    await again.send(json.dumps({"op": "unsubscribe", "channel": "depth:BTCUSD"}))
    await heard(again)
    assert not (await asked(again, "subscribe", "depth:BTCUSD", seq=1, epoch=1))["recovered"]


async def test_what_cannot_be_asked_is_refused_by_name(stage: Stage) -> None:
    client = await stage.client("/v1/stream")
    for text, code in (
        ("{", -1135), ('{"op":"subscribe","channel":"depth:BTCUSD","x":1}', -1135), ("[]", -1135),
        ('{"op":"subscribe","channel":"depth:NONE"}', -1121), ('{"op":"subscribe","channel":"news:BTCUSD"}', -1121),
        ('{"op":"dance","channel":"depth:BTCUSD"}', -1130), ('{"op":"unsubscribe","channel":"depth:BTCUSD"}', -1121),
    ):  # fmt: skip
        await client.send(text)
        told = await heard(client)
        assert (told["op"], told["code"]) == ("error", code), text
    await asked(client, "subscribe", "trades:BTCUSD")
    assert (await asked(client, "subscribe", "trades:BTCUSD", id="x"))["msg"] == "The channel is followed already."


async def test_a_halted_partition_is_told_as_stale_and_a_heartbeat_comes_every_5_s(stage: Stage) -> None:
    client = await stage.client("/v1/stream?channels=trades:BTCUSD")
    await heard(client)
    stage.beat(10_000)
    assert [(await heard(client))["type"] for _ in range(2)] == ["heartbeat", "heartbeat"]
    stage.front.venue.halted = {0: "a person must decide"}
    stage.beat(1000)
    told = await heard(client)
    assert (told["type"], told["stale"]) == ("stale", True)
    late = await stage.client("/v1/stream?channels=trades:BTCUSD")
    assert (await heard(late))["stale"]
    stage.front.venue.halted = {}
    stage.beat(1000)
    assert not (await heard(client))["stale"]


async def test_a_gap_in_the_feed_ends_trades_and_makes_depth_begin_anew(stage: Stage) -> None:
    await stage.happen((BUY, 90, 1), trades=(trade(1),))
    trades = await stage.client("/v1/stream?channels=trades:BTCUSD")
    depth = await stage.client("/v1/stream?channels=depth:BTCUSD")
    for client in (trades, depth):
        await heard(client)
    await stage.settled()
    stage.beat()
    assert (await heard(depth))["seq"] == 1
    stage.seq += 1
    stage.u += 1
    await stage.happen((BUY, 91, 1), trades=(trade(3),))
    with pytest.raises(ConnectionClosed) as closed:
        await heard(trades)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012
    await stage.settled()
    stage.beat(200)
    told = await heard(depth)
    assert (told["type"], told["recovered"], told["seq"]) == ("snapshot", False, 3)


async def test_clients_are_told_of_the_end_and_closed_with_1001(stage: Stage) -> None:
    client = await stage.client("/v1/stream")
    await stage.native.goodbye(0.1)
    assert (await heard(client))["type"] == "serverShutdown"
    with pytest.raises(ConnectionClosed) as closed:
        await heard(client)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1001
