"""Orders of a connection that wants it are canceled when it ends, and no others."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection

from tests.roles.stream.test_exchange import Floor, limit, log_on
from tests.support.inprocess import running
from tests.support.served import served
from tests.support.stage import heard

PATIENCE_SECONDS = 30.0


@pytest.fixture
async def floor(tmp_path: Path) -> AsyncIterator[Floor]:
    async with running(tmp_path) as (exchange, client), served(exchange.app) as address:
        yield Floor(address, client)


async def place(client: ClientConnection, *prices: int) -> list[int]:
    for number, price in enumerate(prices):
        await client.send(limit(number, "BUY", price))
    return [(await heard(client))["result"]["orderId"] for _ in prices]


async def open_orders(floor: Floor) -> list[int]:
    return [each["orderId"] for each in (await floor.rest.signed("GET", "/api/v3/openOrders"))[1]]


async def until_open(floor: Floor, expected: list[int]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await open_orders(floor) != expected:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_a_connection_takes_its_open_orders_with_it_and_leaves_those_of_others(floor: Floor) -> None:
    async with floor.connect("/ws-api/v3") as other:
        await log_on(other)
        kept = await place(other, 40_000)
        async with floor.connect("/ws-api/v3?cancelOnDisconnect=true") as client:
            await log_on(client)
            placed = await place(client, 50_000, 50_001, 50_002)
            assert await open_orders(floor) == [*kept, *placed]
        await until_open(floor, kept)


async def test_a_connection_that_is_cut_off_counts_as_ended(floor: Floor) -> None:
    async with floor.connect("/ws-api/v3?cancelOnDisconnect=true") as client:
        await log_on(client)
        await place(client, 50_000)
        client.transport.abort()
        await until_open(floor, [])


async def test_an_order_that_is_still_on_its_way_at_the_end_is_canceled_too(floor: Floor) -> None:
    async with floor.connect("/ws-api/v3?cancelOnDisconnect=true") as client:
        await log_on(client)
        for number in range(30):
            await client.send(limit(number, "BUY", 50_000 - number))
        client.transport.abort()
    await asyncio.sleep(0.2)
    await until_open(floor, [])


async def test_without_the_wish_nothing_is_canceled(floor: Floor) -> None:
    async with floor.connect("/ws-api/v3?cancelOnDisconnect=false") as client:
        await log_on(client)
        placed = await place(client, 50_000)
    await asyncio.sleep(0.3)
    assert await open_orders(floor) == placed
