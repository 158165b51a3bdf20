"""What became of orders whose outcome was not delivered is read from the ledger, and nothing is asked in vain."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from outcry.market.terms import CANCELED, FILLED, NEW
from outcry.roles.api.intents import Amend, Replace
from outcry.roles.api.latecomers import UNAPPLIED_SECONDS
from outcry.rows import OrderRow
from tests.roles.api.test_desk import ONE, TWO, DeafFeed, shop
from tests.support.inprocess import until


async def test_outcomes_that_are_not_delivered_are_read_from_the_ledger(tmp_path: Path) -> None:
    async with shop(tmp_path, feed=DeafFeed()) as s:
        sold = await s.desk.submit(s.place("sell 10@5000", "s", ONE))
        bought = await s.desk.submit(s.place("buy 4@5000", "b", TWO))
        assert (sold.orders[0].status, bought.orders[0].status) == (NEW, FILLED)
        assert [(fill.qty, fill.price) for fill in bought.fills] == [(4, 5000)]
        canceled = await s.desk.submit(s.cancel(client_order_id="s"))
        assert [row.status for row in canceled.canceled] == [CANCELED]


async def test_the_fills_of_all_that_traded_are_asked_for_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with shop(tmp_path, feed=DeafFeed()) as s:
        looks: list[int] = []
        fills = s.store.ledger.order_fills

        async def noted(placed: Sequence[OrderRow]) -> Any:
            looks.append(len(placed))
            return await fills(placed)

        monkeypatch.setattr(s.store.ledger, "order_fills", noted)
        await s.desk.submit(s.place("sell 40@5000", "s", ONE))
        work = [s.desk.submit(s.place(f"buy {qty}@5000", f"b{qty}", TWO)) for qty in range(1, 9)]
        bought = await asyncio.gather(*work)
        assert [sum(fill.qty for fill in each.fills) for each in bought] == [1, 2, 3, 4, 5, 6, 7, 8]
        assert sum(looks) == 8 and len(looks) <= 4, looks


async def test_the_ledger_is_not_asked_about_orders_that_wait_to_be_applied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with shop(tmp_path, engine=False) as s:
        looks: list[Sequence[int]] = []
        look = s.store.ledger.orders_by_id

        async def noted(order_ids: Sequence[int]) -> Any:
            looks.append(order_ids)
            return await look(order_ids)

        monkeypatch.setattr(s.store.ledger, "orders_by_id", noted)
        work = [asyncio.create_task(s.desk.submit(s.place("buy 10@5000", f"n{n}"))) for n in range(20)]
        began = asyncio.get_running_loop().time()
        await until(lambda: bool(looks))
        assert asyncio.get_running_loop().time() - began > UNAPPLIED_SECONDS - 0.5
        assert [len(order_ids) for order_ids in looks] == [20]
        looks.clear()
        await s.start_engine()
        assert {answer.orders[0].status for answer in await asyncio.gather(*work)} == {NEW}
        assert looks == []


async def test_what_is_applied_during_a_look_is_left_to_be_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with shop(tmp_path, engine=False) as s:
        ledger, looks = s.store.ledger, 0
        look = ledger.orders_by_id

        async def meanwhile(order_ids: Sequence[int]) -> Any:
            nonlocal looks
            looks += 1
            await s.start_engine()
            await asyncio.wait([sold, bought])
            return await look(order_ids)

        async def no_fills(placed: Sequence[OrderRow]) -> Any:
            raise AssertionError("nobody needs to ask")

        monkeypatch.setattr(ledger, "orders_by_id", meanwhile)
        monkeypatch.setattr(ledger, "order_fills", no_fills)
        sold = asyncio.create_task(s.desk.submit(s.place("sell 10@5000", "s", ONE)))
        bought = asyncio.create_task(s.desk.submit(s.place("buy 4@5000", "b", TWO)))
        assert [fill.qty for fill in (await bought).fills] == [4]
        await asyncio.sleep(0.1)
        assert looks == 1
        assert (await s.desk.submit(s.place("buy 1@5000", "c", TWO))).orders[0].status == FILLED


async def test_an_undelivered_amend_and_replace_are_found_too(tmp_path: Path) -> None:
    async with shop(tmp_path, feed=DeafFeed()) as s:
        await s.desk.submit(s.place("buy 20000@5000", "a"))
        amended = await s.desk.submit(Amend(old=s.cancel(client_order_id="a"), qty=12_000, new_client_id="b"))
        assert [row.qty for row in amended.orders] == [12_000]
        assert amended.amendment is not None
        assert amended.amendment[-5:-1] == ("a", "b", 20_000, 12_000)
        grown = await s.desk.submit(Amend(old=s.cancel(client_order_id="b"), qty=20_000, new_client_id="c"))
        assert (grown.code, grown.amendment) == (-2011, None)
        replaced = await s.desk.submit(Replace(old=s.cancel(client_order_id="b"), new=s.place("buy 7@5001", "c")))
        assert (replaced.code, replaced.cancel_code) == (0, 0)
        assert ([row.qty for row in replaced.orders], [row.status for row in replaced.canceled]) == ([7], [CANCELED])


async def test_an_undelivered_replace_that_only_cancels_is_found_too(tmp_path: Path) -> None:
    """Its new order has another one's name, so that it places none."""
    async with shop(tmp_path, feed=DeafFeed()) as s:
        for name in ("a", "b"):
            await s.desk.submit(s.place("buy 10@5000", name))
        replaced = await s.desk.submit(Replace(old=s.cancel(client_order_id="a"), new=s.place("buy 7@5001", "b")))
        assert ([row.status for row in replaced.canceled], replaced.code) == ([CANCELED], -2010)


async def test_a_cut_after_the_journal_still_ends_in_the_outcome(tmp_path: Path) -> None:
    async with shop(tmp_path) as s:
        s.wire.trouble = "after"
        assert (await s.desk.submit(s.place("buy 10@5000", "a"))).orders[0].status == NEW
