"""The clients of the fault campaigns: what they take an answer for."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.support import customers
from tests.support.customers import LATE, OVERLOADED, UNKNOWN, Customer
from tests.support.histories import History, Sent
from tests.support.signed import SignedClient


@contextlib.asynccontextmanager
async def exchange(answers: Sequence[tuple[int, Any]]) -> AsyncIterator[SignedClient]:
    """An address that gives these answers to batches, the last one again and again."""
    left = list(answers)

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        status, body = left.pop(0) if len(left) > 1 else left[0]
        return web.json_response(body, status=status)

    app = web.Application()
    app.router.add_post("/v1/orders:batch", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        async with aiohttp.ClientSession() as session:
            yield SignedClient(session, f"http://127.0.0.1:{runner.addresses[0][1]}", "key", "secret")
    finally:
        await runner.cleanup()


async def batch_of_two(answers: Sequence[tuple[int, Any]]) -> list[Sent]:
    """What became of a keyed batch that got these answers."""
    for seed in range(100):  # until one rolls a key
        history = History()
        async with exchange(answers) as client:
            await Customer(history, 0, [client], seed=seed, began=0.0, batch=(2, 2)).batch()
        orders = list(history.orders.values())
        if orders[0].key:
            return orders
    raise AssertionError("no customer sent a key")


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(customers, "SETTLE_SECONDS", 0.5)


async def test_an_order_of_a_keyed_batch_that_came_too_late_was_not_placed() -> None:
    """Those before it took so long to be refused, time after time; the batch's answer tells of all its requests."""
    refusals = [{"code": -2010, "msg": "short"}, {"code": LATE, "msg": "late"}]
    unknown = {"code": UNKNOWN, "msg": "unknown"}
    orders = await batch_of_two([(504, unknown), (200, {"results": refusals})])
    assert [sent.refused for sent in orders] == [-2010, LATE]
    assert all(sent.is_known for sent in orders)


async def test_an_order_that_found_no_room_is_not_refused_when_its_batch_is_sent_again() -> None:
    overloaded, unknown = {"code": OVERLOADED, "msg": "full"}, {"code": UNKNOWN, "msg": "unknown"}
    orders = await batch_of_two([(200, {"results": [overloaded, unknown]}), (409, {"code": -1099, "msg": "wait"})])
    assert [sent.refused for sent in orders] == [0, 0]
    orders = await batch_of_two([(200, {"results": [overloaded, unknown]}), (200, {"results": [overloaded] * 2})])
    assert [sent.refused for sent in orders] == [OVERLOADED, OVERLOADED]


async def test_a_repeated_request_that_came_too_late_says_nothing_of_the_one_before() -> None:
    unknown, late = {"code": UNKNOWN, "msg": "unknown"}, {"code": LATE, "msg": "late"}
    orders = await batch_of_two([(504, unknown), (400, late)])
    assert not any(sent.is_known for sent in orders)
