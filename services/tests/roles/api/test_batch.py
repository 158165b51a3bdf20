"""Batches answer order by order, and an Idempotency-Key has one effect and one answer."""

import asyncio
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from outcry.claims import HoldRequest, HoldResult, KeyClaim
from outcry.ports import OutcomeUnknown, OutOfService
from outcry.roles.api.idempotency import payload_hash
from outcry.roles.api.intents import Intent
from outcry.roles.api.orderform import ORDER_PARAMS, Caller, place_of
from outcry.roles.api.params import Recipe
from outcry.roles.api.tickets import Answer, Key
from outcry.rows import KEY_KEPT_MS
from outcry.wiring.embedded import Exchange
from tests.support.inprocess import PATIENCE_SECONDS, until
from tests.support.traders import ORDER, market


def batch_of(*texts: str) -> dict[str, Any]:
    orders = []
    for text in texts:
        side, qty, price, *name = text.split()
        item = {"symbol": "BTCUSD", "side": side.upper(), "type": "LIMIT", "timeInForce": "GTC", "quantity": qty,
                "price": price}  # fmt: skip
        orders.append(item | ({"newClientOrderId": name[0]} if name else {}))
    return {"orders": orders}


BATCH = "/v1/orders:batch"


async def forget_answer(exchange: Exchange, age_ms: int) -> None:
    """The answer under the only key is not kept, and the key is taken so long ago."""
    await exchange.store.ledger._writer.do(
        lambda work: (
            work.db.execute(
                "UPDATE idempotency SET response = NULL, expires_ms = ?", (work.now_ms + KEY_KEPT_MS - age_ms,)
            ).rowcount
        )
    )


async def test_a_batch_answers_every_order_on_its_own(tmp_path: Path) -> None:
    async with market(tmp_path) as (one, _, _):
        sent = batch_of("buy 0.1 50000 a", "buy 0.000001 50000", "buy 0.1 50001 a", "buy 9000 50000", "buy 0.1 50002")
        sent["orders"].append("no order")
        status, body, _ = await one.send(BATCH, sent)
        assert status == 200, body
        results = body["results"]
        assert [each.get("code") for each in results] == [None, -1013, -2010, -2010, None, -1130]
        assert results[2]["msg"] == "Duplicate order sent."
        assert await one.open_orders() == [results[0]["orderId"], results[4]["orderId"]]


async def test_a_batch_has_one_to_fifty_orders(tmp_path: Path) -> None:
    async with market(tmp_path) as (one, _, _):
        for texts in ([], ["buy 0.1 50000"] * 51):
            status, body, _ = await one.send(BATCH, batch_of(*texts))
            assert (status, body["code"]) == (400, -1130)
            assert [each["parameter"] for each in body["errors"]] == ["orders"]
        status, body, _ = await one.send(BATCH, batch_of(*["buy 0.001 50000"] * 50))
        assert (status, {each["status"] for each in body["results"]}) == (200, {"NEW"})


async def test_a_key_gives_one_order_and_one_answer(tmp_path: Path) -> None:
    async with market(tmp_path) as (one, _, _):
        order = {"symbol": "BTCUSD", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.1",
                 "price": "50000"}  # fmt: skip
        status, first, headers = await one.send(ORDER, order, "key-1")
        assert (status, "idempotent-replayed" in headers) == (200, False)
        status, again, headers = await one.send(ORDER, {**order, "quantity": "0.10"}, "key-1")
        assert (status, again, headers["idempotent-replayed"]) == (200, first, "true")
        status, other, _ = await one.send(ORDER, {**order, "quantity": "0.2"}, "key-1")
        assert (status, other["code"], other["msg"]) == (422, -1098, "Idempotency-Key was used with another payload.")
        assert await one.open_orders() == [first["orderId"]]


async def test_a_refusal_before_the_journal_takes_no_key_and_one_after_it_does(tmp_path: Path) -> None:
    async with market(tmp_path) as (one, two, _):
        order = {"symbol": "BTCUSD", "side": "BUY", "type": "LIMIT_MAKER", "quantity": "9000", "price": "60000"}
        status, _, _ = await one.send(ORDER, order, "key-1")
        assert status == 400
        assert (await one.send(ORDER, {**order, "quantity": "0.1"}, "key-1"))[0] == 200
        await two.placed("sell 0.2@60001")
        crossing = {**order, "quantity": "0.1", "price": "60001"}
        first = await one.send(ORDER, crossing, "key-2")
        assert (first[0], first[1]["code"]) == (400, -2010)
        await two.client.signed("DELETE", "/api/v3/openOrders", symbol="BTCUSD")
        again = await one.send(ORDER, crossing, "key-2")
        assert (again[:2], again[2]["idempotent-replayed"]) == (first[:2], "true")


async def test_a_retry_that_could_not_be_placed_any_more_gets_the_answer_of_the_first(tmp_path: Path) -> None:
    async with market(tmp_path) as (one, two, exchange):
        await two.placed("sell 0.2@60001")
        order = {"symbol": "BTCUSD", "side": "BUY", "type": "LIMIT", "timeInForce": "IOC", "quantity": "0.1",
                 "price": "60001"}  # fmt: skip
        first = await one.send(ORDER, order, "key-1")
        whole = await one.send(BATCH, batch_of("buy 0.1 50000"), "key-2")
        assert (first[0], first[1]["status"], whole[0]) == (200, "FILLED", 200)
        await exchange.store.ledger.halt_partition(0, "a test", "tester")
        await until(lambda: 0 in exchange.engine.halted)
        again, again_whole = (
            await one.send(ORDER, order, "key-1"),
            await one.send(BATCH, batch_of("buy 0.1 50000"), "key-2"),
        )
        assert (again[:2], again[2]["idempotent-replayed"]) == (first[:2], "true")
        assert (again_whole[:2], again_whole[2]["idempotent-replayed"]) == (whole[:2], "true")
        other = await one.send(ORDER, {**order, "quantity": "0.2"}, "key-1")
        assert (other[0], other[1]["code"]) == (422, -1098)
        new = await one.send(ORDER, order, "key-3")
        assert (new[0], new[1]["msg"]) == (400, "Market is closed.")


async def test_the_key_of_a_batch_keeps_the_whole_answer(tmp_path: Path) -> None:
    async with market(tmp_path) as (one, _, _):
        sent = batch_of("buy 9000 50000", "buy 0.1 50000", "buy 0.000001 50000", "buy 0.1 50001")
        status, first, _ = await one.send(BATCH, sent, "key-1")
        assert status == 200
        assert [each.get("code") for each in first["results"]] == [-2010, None, -1013, None]
        status, again, headers = await one.send(BATCH, sent, "key-1")
        assert (status, again, headers["idempotent-replayed"]) == (200, first, "true")
        assert len(await one.open_orders()) == 2


async def test_a_batch_under_the_key_of_another_one_is_refused_as_a_whole(tmp_path: Path) -> None:
    async with market(tmp_path) as (one, _, _):
        assert (await one.send(BATCH, batch_of("buy 0.1 50000"), "key-1"))[0] == 200
        status, body, _ = await one.send(BATCH, batch_of("buy 0.1 50000", "buy 0.1 50001"), "key-1")
        assert (status, body["code"], body["detail"]) == (422, -1098, "Idempotency-Key was used with another payload.")
        assert len(await one.open_orders()) == 1


async def test_no_other_batch_overwrites_the_answer_under_a_key(tmp_path: Path) -> None:
    async with market(tmp_path) as (one, _, _):
        _, first, _ = await one.send(BATCH, batch_of("buy 0.1 50000"), "key-1")
        for other in ("buy 0.2 50000", "buy 9000 50000", "buy 0.000001 50000"):
            await one.send(BATCH, batch_of(other), "key-1")
            status, again, headers = await one.send(BATCH, batch_of("buy 0.1 50000"), "key-1")
            assert (status, again, headers["idempotent-replayed"]) == (200, first, "true")


async def test_one_key_sent_twice_at_once_places_once(tmp_path: Path) -> None:
    async with market(tmp_path) as (one, _, _):
        order = {"symbol": "BTCUSD", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.1",
                 "price": "50000"}  # fmt: skip
        answers = await asyncio.gather(*(one.send(ORDER, order, "key-1") for _ in range(8)))
        assert {status for status, _, _ in answers} <= {200, 409}
        assert {body.get("code") for status, body, _ in answers if status == 409} <= {-1099}
        assert len({body["orderId"] for status, body, _ in answers if status == 200}) == 1
        assert len(await one.open_orders()) == 1


async def test_a_key_whose_answer_was_never_kept_is_answered_from_what_happened(tmp_path: Path) -> None:
    """The process dies between the outcome and the keeping of the answer."""
    async with market(tmp_path) as (one, _, exchange):
        venue, order = exchange.venue, batch_of("buy 0.1 50000")["orders"][0]
        params = Recipe(ORDER_PARAMS).read(order, venue.instruments)
        account = await venue.ledger.account(1001)
        assert account is not None
        key = Key("key-1", payload_hash("order.place", params))
        outcome = await venue.desk.submit(place_of(params, Caller(account, {}, 5_000, 0)), key)
        status, body, headers = await one.send(ORDER, order, "key-1")
        assert (status, headers["idempotent-replayed"]) == (200, "true")
        assert (body["orderId"], body["status"]) == (outcome.orders[0].order_id, "NEW")
        assert len(await one.open_orders()) == 1


async def test_a_batch_whose_answer_was_never_kept_is_answered_from_what_happened(tmp_path: Path) -> None:
    async with market(tmp_path) as (one, _, exchange):
        kept = batch_of("buy 0.1 50000", "buy 9000 50000", "buy 0.1 50001")
        status, first, _ = await one.send(BATCH, kept, "key-1")
        assert status == 200
        await forget_answer(exchange, age_ms=0)
        status, again, headers = await one.send(BATCH, kept, "key-1")
        assert (status, again["code"], headers["retry-after"]) == (409, -1099, "1"), "its second order may still come"
        await forget_answer(exchange, age_ms=10_000)
        status, again, headers = await one.send(BATCH, kept, "key-1")
        assert (status, headers["idempotent-replayed"]) == (200, "true")
        ids = [each.get("orderId") for each in again["results"]]
        assert ids == [each.get("orderId") for each in first["results"]]
        assert [each.get("code") for each in again["results"]] == [None, -2010, None]
        assert len(await one.open_orders()) == 2


async def test_a_request_that_sleeps_within_a_batch_places_nothing_once_a_retry_was_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It sleeps between its first order, which takes the key, and the others."""
    async with market(tmp_path) as (one, _, exchange):
        desk, batch = exchange.venue.desk, batch_of("buy 0.1 50000", "buy 0.1 50001", "buy 0.1 50002")
        submit, wakes = desk.submit_all, asyncio.Event()

        async def sleep(intents: Sequence[Intent], *rest: Any, **more: Any) -> list[Answer]:
            if len(intents) == 2:
                await wakes.wait()
            return await submit(intents, *rest, **more)

        monkeypatch.setattr(desk, "submit_all", sleep)
        slow = asyncio.create_task(one.send(BATCH, batch, "key-1"))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await one.open_orders():  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        status, body, headers = await one.send(BATCH, batch, "key-1")
        assert (status, body["code"], headers["retry-after"]) == (409, -1099, "1")
        await forget_answer(exchange, age_ms=10_000)
        status, told, _ = await one.send(BATCH, batch, "key-1")
        assert status == 200
        assert [each.get("code") for each in told["results"]] == [None, -2010, -2010]
        wakes.set()
        status, first, _ = await slow
        assert [each.get("code") for each in first["results"]] == [None, -1007, -1007]
        assert len(await one.open_orders()) == 1
        assert (await one.send(BATCH, batch, "key-1"))[1] == told


@pytest.mark.parametrize("unknown", [0, 1])
async def test_nothing_is_refused_under_a_key_that_may_have_been_taken_before(
    tmp_path: Path, unknown: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batch was placed, and is sent again while the ledger goes away: it breaks off, and then cannot be asked."""
    async with market(tmp_path) as (one, _, exchange):
        ledger, batch = exchange.venue.ledger, batch_of("buy 0.1 50000", "buy 0.1 50001", "buy 0.1 50002")
        _, first, _ = await one.send(BATCH, batch, "key-1")
        await forget_answer(exchange, age_ms=10_000)
        holds = itertools.count()

        async def go_away(*_: object) -> list[HoldResult]:
            raise OutcomeUnknown("cut") if next(holds) == unknown else OutOfService("away")

        with monkeypatch.context() as cut:
            cut.setattr(ledger, "hold", go_away)
            status, again, _ = await one.send(BATCH, batch, "key-1")
        assert (status, [each["code"] for each in again["results"]]) == (200, [-1007] * 3)
        _, told, _ = await one.send(BATCH, batch, "key-1")
        assert [each["orderId"] for each in told["results"]] == [each["orderId"] for each in first["results"]]


@pytest.mark.parametrize("was_taken", [True, False])
async def test_a_batch_whose_first_hold_is_unknown_is_placed_once_however_often_it_is_sent(
    tmp_path: Path, was_taken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ledger breaks off while it takes the hold that claims the key: before it is committed, or after that."""
    async with market(tmp_path) as (one, _, exchange):
        ledger, batch = exchange.venue.ledger, batch_of("buy 0.1 50000", "buy 0.1 50001", "buy 0.1 50002")
        taking = ledger.hold

        async def break_off(requests: Sequence[HoldRequest], keys: Sequence[KeyClaim] = ()) -> list[HoldResult]:
            if keys[0].follows:
                return await taking(requests, keys)
            if was_taken:
                await taking(requests, keys)
            raise OutcomeUnknown("cut")

        with monkeypatch.context() as cut:
            cut.setattr(ledger, "hold", break_off)
            status, first, _ = await one.send(BATCH, batch, "key-1")
        assert status == 200
        assert [each.get("code") for each in first["results"]] == [-1007, *([None] if was_taken else [-1007]) * 2]
        assert len(await one.open_orders()) == (2 if was_taken else 0)
        status, _, _ = await one.send(BATCH, batch, "key-1")
        assert status == (409 if was_taken else 200), "its first order was held, but never journaled"
        assert len(await one.open_orders()) == (2 if was_taken else 3)
