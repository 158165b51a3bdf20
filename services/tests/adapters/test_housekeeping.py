"""The port Housekeeping: postings become balances, lost orders give their money back, old rows go."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outcry.market.terms import CANCELED, EXPIRED
from outcry.ports import Damaged
from outcry.rows import AmendmentRow, CancelMark, Checkpoint, ListRow, PreventedRow, SymbolRow
from tests.support.postgres import postgres_storage
from tests.support.prints import BTCUSD
from tests.support.storage import (
    ALICE,
    BOB,
    BTC,
    MONEY,
    START_MS,
    USD,
    WINDOW_MS,
    Storage,
    filled,
    fund,
    mark,
    order_row,
    posting,
    request,
    sqlite_storage,
    trade_row,
)

Opened = Callable[[Path], AbstractAsyncContextManager[Storage]]

STEPS = st.lists(st.tuples(st.sampled_from(["hold", "fill", "fold", "void"]), st.integers(1, 400_000)), max_size=25)
LATE_MS = START_MS + WINDOW_MS + 1


async def test_unfolded_postings_are_seen_in_balances_but_cannot_be_spent(storage: Storage) -> None:
    await storage.own(0)
    await storage.commit(storage.batch(postings=[posting(ALICE, 500, 0, offset=0)]))
    assert await storage.money(ALICE) == (MONEY + 500, 0)
    assert (await storage.hold("a", MONEY + 500)).status == "short"
    assert await storage.ledger.fold([0]) == 1
    assert await storage.money(ALICE) == (MONEY + 500, 0)
    assert (await storage.hold("a", MONEY + 500)).status == "held"


async def test_folding_twice_counts_once(storage: Storage) -> None:
    await storage.own(0)
    await storage.commit(storage.batch(postings=[posting(ALICE, 500, 0, offset=0)]))
    assert sorted(await asyncio.gather(*(storage.ledger.fold([0]) for _ in range(5)))) == [0, 0, 0, 0, 1]
    assert await storage.money(ALICE) == (MONEY + 500, 0)


async def test_a_fold_is_bounded_and_goes_on_later(storage: Storage) -> None:
    await storage.own(0)
    for offset in range(10):
        rows = [posting(ALICE, 1, 0, offset=offset, idx=n) for n in range(4)]
        await storage.commit(storage.batch(postings=rows))
    assert await storage.ledger.fold([0], 10) == 8
    assert await storage.ledger.fold([0], 3) == 4  # one record is folded whole
    assert await storage.ledger.fold([0]) == 28
    assert await storage.ledger.fold([0]) == 0
    assert await storage.money(ALICE) == (MONEY + 40, 0)


async def test_a_fold_sums_the_partitions_that_it_is_given(storage: Storage) -> None:
    for part in range(3):
        await storage.own(part)
        await storage.commit(storage.batch(part, postings=[posting(ALICE, 10**part, 0, offset=0)._replace(part=part)]))
    assert await storage.ledger.fold([2, 0]) == 2
    assert (await storage.hold("a", MONEY + 102)).status == "short"
    assert (await storage.hold("a", MONEY + 101)).status == "held"
    assert await storage.ledger.fold(range(3)) == 1
    assert await storage.ledger.fold(range(3)) == 0
    assert await storage.money(ALICE) == (10, MONEY + 101)


async def test_postings_of_work_left_over_wait_for_their_record(storage: Storage) -> None:
    await storage.own(0)
    await storage.commit(storage.batch(records=1))
    await storage.commit(storage.batch(records=0, postings=[posting(ALICE, 7, 0, offset=1)]))
    assert await storage.ledger.fold([0]) == 0
    assert await storage.money(ALICE) == (MONEY + 7, 0)
    await storage.commit(storage.batch(postings=[posting(ALICE, 1, 0, offset=1, idx=1)]))
    assert await storage.ledger.fold([0]) == 2
    assert await storage.money(ALICE) == (MONEY + 8, 0)


async def test_folding_never_makes_money_negative(storage: Storage) -> None:
    await storage.own(0)
    await storage.commit(storage.batch(postings=[posting(ALICE, 0, -1, offset=0)]))
    with pytest.raises(Damaged):
        await storage.ledger.fold([0])
    assert (await storage.hold("a", 5)).status == "held"


async def test_an_order_without_outcome_is_voided_once_log_time_has_passed_its_bound(storage: Storage) -> None:
    await storage.own(0)
    held = await storage.hold("a", 300)
    await storage.commit(storage.batch(log_time=LATE_MS - 1))
    assert await storage.ledger.void(0) == []
    await storage.commit(storage.batch(log_time=LATE_MS))
    assert await storage.ledger.void(1) == []
    assert await storage.ledger.void(0) == [held.order_id]
    assert await storage.money(ALICE) == (MONEY, 0)
    row = await storage.ledger.order(ALICE, 1, held.order_id, None)
    assert row is not None
    assert (row.status, row.applied_offset, row.open, row.held, row.qty, row.price) == (EXPIRED, -1, 0, 0, 5, 20)
    assert await storage.ledger.void(0) == []
    assert (await storage.hold("a")).status == "held"


async def test_an_order_with_an_outcome_is_never_voided(storage: Storage) -> None:
    await storage.own(0)
    await storage.rest("a")
    await storage.commit(storage.batch(log_time=LATE_MS + 60_000))
    assert await storage.ledger.void(0) == []
    assert await storage.money(ALICE) == (MONEY - 100, 100)


async def test_a_voided_order_that_was_canceled_says_canceled(storage: Storage) -> None:
    await storage.own(0)
    held = await storage.hold("a")
    await storage.commit(storage.batch(cancel_marks=[CancelMark(held.order_id, 0)], log_time=LATE_MS))
    await storage.ledger.void(0)
    row = await storage.ledger.order(ALICE, 1, held.order_id, None)
    assert row is not None and row.status == CANCELED


async def test_a_voided_order_can_have_no_outcome_any_more(storage: Storage) -> None:
    await storage.own(0)
    held = await storage.hold("a")
    await storage.commit(storage.batch(log_time=LATE_MS))
    await storage.ledger.void(0)
    row = order_row(held.order_id, "a", applied_offset=1)
    with pytest.raises(Exception, match="order"):
        await storage.commit(storage.batch(new_orders=[row], intake_marks=[mark(row)]))


async def test_intake_is_swept_only_when_closed_and_past_its_bound(storage: Storage) -> None:
    await storage.own(0)
    resting = await storage.rest("a")
    gone = await storage.rest("b")
    closed = gone._replace(status=CANCELED, open=0, held=0)
    await storage.commit(storage.batch(touched_orders=[closed], intake_closed=[gone.order_id]))
    assert await storage.ledger.sweep_intake(0) == 0
    await storage.commit(storage.batch(log_time=LATE_MS))
    assert await storage.ledger.sweep_intake(0) == 1
    assert [row.order_id for row in await storage.ledger.open_targets(ALICE, None)] == [resting.order_id]


async def old_and_new(storage: Storage) -> list[int]:
    """Two orders filled long ago, one old that rests, two new ones, each at its own record; their ids."""
    await storage.own(0)
    symbol = SymbolRow(1, 0, 0, 0, 0, 0, 0, 0, 0, msgspec.msgpack.encode(BTCUSD), b"")
    ids = []
    for n in range(5):
        await storage.journal.append([(0, b"record")])
        held = await storage.hold(f"n{n}", 100)
        now = storage.clock.ms
        row = order_row(held.order_id, f"n{n}", applied_offset=n, placed_ms=now, updated_ms=now, list_id=n)
        row = row if n == 2 else filled(row, now)
        await storage.commit(
            storage.batch(
                new_orders=[row], intake_marks=[mark(row, 100)], symbols=[symbol],
                trades=[trade_row(n + 1, log_offset=n, time_ms=now)],
                postings=[posting(ALICE, 1, -1, offset=n), posting(ALICE, 0, 0, offset=n, idx=1)],
                prevented=[PreventedRow(1, n + 1, 0, n, ALICE, 1, 2, 20, 1, 1, 1, now)],
                amendments=[AmendmentRow(0, n, n, 1, ALICE, row.order_id, "a", "b", 9, 8, now)],
                lists=[ListRow(n, 0, 1, ALICE, f"l{n}", row.order_id, row.order_id, "ALL_DONE", now)],
            )
        )  # fmt: skip
        ids.append(held.order_id)
        storage.clock.ms += 1_000_000 if n == 2 else 1
    await storage.ledger.fold([0])
    return ids


async def kept(storage: Storage, ids: list[int]) -> tuple[list[int], list[int], list[int]]:
    """Ids of the orders (as places), trades and lists that are still there."""
    orders = [ids.index(row.order_id) for row in await storage.ledger.orders_by_id(ids)]
    trades = [row.trade_id for row in await storage.ledger.trades(1)]
    lists = [row.list_id for row in await storage.ledger.order_lists(ALICE, open_only=False)]
    return orders, trades, lists


async def test_retention_deletes_what_is_old_folded_and_before_the_checkpoint(storage: Storage) -> None:
    ids = await old_and_new(storage)
    assert await storage.ledger.retain(0, START_MS + 500_000, 3) == 3 + 6 + 3 + 3 + 2
    amended = [await storage.ledger.amendments(ALICE, 1, order_id) for order_id in ids]
    assert [len(rows) for rows in amended] == [0, 0, 0, 1, 1]
    assert await kept(storage, ids) == ([2, 3, 4], [4, 5], [2, 3, 4])
    assert await storage.ledger.retain(0, START_MS + 500_000, 3) == 0
    assert await storage.money(ALICE) == (MONEY - 500 + 5, 500 - 5)


async def test_retention_keeps_all_behind_the_checkpoint(storage: Storage) -> None:
    ids = await old_and_new(storage)
    await storage.ledger.retain(0, START_MS + 5_000_000, 1)
    assert await kept(storage, ids) == ([1, 2, 3, 4], [2, 3, 4, 5], [1, 2, 3, 4])


async def test_retention_keeps_an_old_order_that_was_closed_behind_the_checkpoint(storage: Storage) -> None:
    ids = await old_and_new(storage)
    (resting,) = await storage.ledger.open_orders(ALICE, 1)
    await storage.journal.append([(0, b"record")])
    closed = filled(resting, storage.clock.ms)
    await storage.commit(storage.batch(touched_orders=[closed], intake_closed=[resting.order_id]))
    storage.clock.ms += 1
    await storage.ledger.retain(0, START_MS + 50_000_000, 5)
    assert closed in await storage.ledger.orders_by_id(ids)


async def test_retention_keeps_the_last_prevention_of_an_order_that_stays(storage: Storage) -> None:
    ids = await old_and_new(storage)
    resting, gone = ids[2], ids[0]
    met = [(resting, gone), (gone, resting), (gone, 99)]
    rows = [PreventedRow(2, n, 0, 5, ALICE, *pair, 20, 1, 1, 1, START_MS) for n, pair in enumerate(met, 10)]
    await storage.journal.append([(0, b"record")])
    await storage.commit(storage.batch(prevented=rows))
    await storage.ledger.fold([0])
    storage.clock.ms += 1
    for left in (rows[1:], rows[1:2]):  # the closed order goes in the first pass, and its prevention in the next
        await storage.ledger.retain(0, START_MS + 50_000_000, 6)
        assert await storage.ledger.prevented(ALICE, 2) == left
    assert await storage.ledger.last_prevented([resting]) == {resting: 11}


async def test_retention_drops_checkpoints_from_which_no_replay_can_start(storage: Storage) -> None:
    await old_and_new(storage)
    for offset in (0, 3, 5):
        await storage.ledger.save_checkpoint(Checkpoint(0, offset, START_MS, 1, 2, b"h", b"state", START_MS))
    await storage.ledger.retain(0, START_MS + 500_000, 3)
    assert [point.next_offset for point in await storage.ledger.checkpoints(0)] == [3, 5]


async def test_retention_keeps_what_is_not_folded(storage: Storage) -> None:
    ids = await old_and_new(storage)
    await storage.commit(storage.batch(postings=[posting(ALICE, 1, 0, offset=5)]))
    await storage.journal.append([(0, b"record"), (0, b"record")])
    storage.clock.ms += 1_000_000
    await storage.ledger.retain(0, START_MS + 50_000_000, 6)
    assert await storage.money(ALICE) == (MONEY - 500 + 6, 500 - 5)
    assert (await kept(storage, ids))[1] == []


async def test_ids_are_never_given_twice_however_much_was_deleted(storage: Storage) -> None:
    ids = await old_and_new(storage)
    await storage.commit(storage.batch(log_time=START_MS + 50_000_000))
    await storage.ledger.sweep_intake(0)
    await storage.ledger.retain(0, START_MS + 50_000_000, 5)
    assert (await storage.hold("z")).order_id > max(ids)


@pytest.mark.parametrize("opened", [sqlite_storage, postgres_storage], ids=["sqlite", "postgres"])
@given(
    steps=st.lists(st.tuples(st.sampled_from(["hold", "fill", "fold", "void"]), st.integers(1, 400_000)), max_size=25)
)
@settings(max_examples=15)
def test_money_is_neither_made_nor_lost(
    opened: Opened, tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    async def play() -> None:
        async with opened(tmp_path_factory.mktemp("law")) as storage:
            await fund(storage)
            await storage.own(0)
            pending: list[tuple[int, int]] = []
            for n, (step, amount) in enumerate(steps):
                if step == "hold":
                    held = await storage.hold(f"n{n}", amount, account=(ALICE, BOB)[n % 2])
                    if held.status == "held" and n % 2 == 0:
                        pending.append((held.order_id, amount))
                elif step == "fill" and pending:
                    await buy(storage, *pending.pop())
                elif step == "fold":
                    await storage.ledger.fold([0])
                elif step == "void":
                    storage.clock.ms += WINDOW_MS + 1
                    await storage.commit(storage.batch())
                    voided = await storage.ledger.void(0)
                    pending = [each for each in pending if each[0] not in voided]
                sums = [sum(await storage.money(account, asset)) for account in (ALICE, BOB) for asset in (USD, BTC)]
                assert sums[0] + sums[2] == sums[1] + sums[3] == 2 * MONEY
                assert min(sums) >= 0

    asyncio.run(play())


async def buy(storage: Storage, order_id: int, amount: int) -> None:
    """Alice's order buys from Bob, one for one."""
    offset = storage.partitions[0].next_offset
    row = filled(order_row(order_id, f"o{order_id}", applied_offset=offset))
    legs = [
        posting(ALICE, 0, -amount, offset=offset),
        posting(BOB, amount, 0, offset=offset, idx=1),
        posting(ALICE, amount, 0, offset=offset, idx=2, asset=BTC),
        posting(BOB, -amount, 0, offset=offset, idx=3, asset=BTC),
    ]
    free, _ = await storage.money(BOB, BTC)
    if free >= amount:
        await storage.commit(storage.batch(new_orders=[row], intake_marks=[mark(row, amount)], postings=legs))
    else:
        back = [posting(ALICE, amount, -amount, offset=offset)]
        await storage.commit(storage.batch(new_orders=[row], intake_marks=[mark(row, amount)], postings=back))


async def test_many_orders_are_voided_a_thousand_at_a_time(storage: Storage) -> None:
    await storage.own(0)
    await storage.ledger.hold([request(f"n{n}", 1, group=n) for n in range(1200)])
    await storage.commit(storage.batch(log_time=LATE_MS))
    assert [len(await storage.ledger.void(0)) for _ in range(3)] == [1000, 200, 0]
    assert await storage.money(ALICE) == (MONEY, 0)
