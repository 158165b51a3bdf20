"""The port EngineLedger: results and offset together, and a partition loaded exactly as it was left."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from outcry.adapters.postgres import load, swift
from outcry.market.terms import CANCELED
from outcry.ports import IntakeMissing
from outcry.rows import (
    CancelMark,
    CandleRow,
    Checkpoint,
    DeadLetter,
    ListRow,
    OrderRow,
    PartState,
    PreventedRow,
    SymbolRow,
)
from tests.support.postgres import postgres_storage
from tests.support.storage import (
    ALICE,
    BOB,
    MONEY,
    START_MS,
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

MINUTE, HOUR = 60_000, 3_600_000


@pytest.fixture(params=["postgres", "postgres-carefully", "sqlite"])
async def storage(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Storage]:
    """An empty exchange with two funded accounts; on PostgreSQL with both ways of a commit."""
    if request.param == "postgres-carefully":
        monkeypatch.setattr(swift, "MAX_ROWS", 0)
    async with (sqlite_storage if request.param == "sqlite" else postgres_storage)(tmp_path) as opened:
        await fund(opened)
        yield opened


def symbol_row(symbol_id: int = 1, part: int = 0, **changes: int) -> SymbolRow:
    row = SymbolRow(symbol_id, part, 1, 2, 3, 4, 5, 6, 7, b"instrument \x00\xff", b"state")
    return row._replace(**changes)  # type: ignore[arg-type]


def candle(open_ms: int, interval_ms: int = MINUTE, symbol_id: int = 1, volume: int = 1) -> CandleRow:
    return CandleRow(symbol_id, interval_ms, open_ms, 1, 4, 1, 2, volume, 20, 1, 1, 20, 1, 1)


async def test_a_commit_moves_the_offset_and_all_its_counters(storage: Storage) -> None:
    await storage.own(0)
    batch = storage.batch(records=3, log_time=START_MS + 9)
    assert await storage.commit(batch) == {0}
    (row,) = await storage.ledger.partitions()
    assert row == storage.partitions[0]._replace(
        next_offset=3, log_time=START_MS + 9, event_seq=1, state_hash=7, log_hash=b"log", tail_hash=b"tail"
    )


async def test_the_same_batch_twice_counts_once(storage: Storage) -> None:
    await storage.own(0)
    batch = storage.batch(postings=[posting(ALICE, 5, 0, offset=0), posting(BOB, -5, 0, offset=0, idx=1)])
    assert await storage.ledger.commit([batch]) == {0}
    assert await storage.ledger.commit([batch]) == set()
    assert (await storage.money(ALICE))[0] == MONEY + 5


async def test_an_old_epoch_commits_nothing(storage: Storage) -> None:
    await storage.own(0)
    stale = storage.batch(postings=[posting(ALICE, 5, 0, offset=0)])
    await storage.own(0)
    assert await storage.ledger.commit([stale]) == set()
    assert (await storage.money(ALICE))[0] == MONEY


async def test_one_lost_partition_holds_up_the_batch_and_is_not_named(storage: Storage) -> None:
    await storage.own(0)
    stale = storage.batch(0, postings=[posting(ALICE, 5, 0, offset=0)])
    await storage.own(0)
    await storage.own(1)
    other = storage.batch(1)
    assert await storage.ledger.commit([stale, other]) == {1}
    assert [row.next_offset for row in await storage.ledger.partitions()] == [0, 0]
    assert await storage.ledger.commit([other]) == {1}


async def test_a_commit_without_an_advance_is_allowed_for_work_left_over(storage: Storage) -> None:
    await storage.own(0)
    assert await storage.commit(storage.batch(records=0)) == {0}
    assert await storage.commit(storage.batch(records=0)) == {0}


async def test_a_partition_is_loaded_as_it_was_committed(storage: Storage) -> None:
    await storage.own(0)
    first, second, third = [await storage.hold(name, 100) for name in "abc"]
    rows = [
        order_row(first.order_id, "a", priority_seq=9, list_id=1),
        order_row(second.order_id, "b", priority_seq=8, symbol_id=1),
        filled(order_row(third.order_id, "c")),
    ]
    lists = [
        ListRow(1, 0, 1, ALICE, "l", 1, 2, "EXEC_STARTED", START_MS),
        ListRow(2, 0, 1, ALICE, "m", 3, 4, "ALL_DONE", 1),
    ]
    batch = storage.batch(
        new_orders=rows,
        intake_marks=[mark(row, 100) for row in rows],
        lists=lists,
        symbols=[symbol_row(2), symbol_row(1)],
        candles=[candle(0), candle(MINUTE), candle(0, HOUR), candle(0, symbol_id=2)],
    )
    await storage.commit(batch)
    state = await storage.ledger.load(0)
    assert state.row.next_offset == 1
    assert state.symbols == [symbol_row(1), symbol_row(2)]
    assert state.orders == [rows[1], rows[0]]
    assert state.lists == [lists[0]]
    assert state.candles == [candle(MINUTE), candle(0, HOUR), candle(0, symbol_id=2)]
    assert state.applied == [(r.order_id, START_MS + WINDOW_MS) for r in (first, second, third)]
    assert (state.cancel_marks, state.skips) == ([], [])


class Pieces:
    """Keeps what a load hands on."""

    def __init__(self) -> None:
        self.state: PartState | None = None
        self.orders: list[OrderRow] = []

    def begin(self, state: PartState) -> None:
        self.state = state

    def go_on(self, orders: list[OrderRow]) -> None:
        self.orders += orders


async def test_orders_handed_on_in_pieces_are_those_of_a_whole_load(
    storage: Storage,
) -> None:
    await storage.own(0)
    names = ["a", 'b"\\,b', "c,\\", "d\n\t\x1f]", "ä€😀", "\\N", "\\\\,", "h" * 36]
    held = [await storage.hold(name) for name in names]
    rows = [order_row(h.order_id, name, text=name) for h, name in zip(held, names, strict=True)]
    await storage.commit(
        storage.batch(new_orders=rows, intake_marks=[mark(row) for row in rows], symbols=[symbol_row()])
    )
    whole = await storage.ledger.load(0)
    assert whole.orders == sorted(rows, key=lambda row: row.priority_seq)
    pieces = Pieces()
    assert await storage.ledger.load(0, pieces) == pieces.state == whole._replace(orders=[])
    assert pieces.orders == whole.orders


@pytest.mark.parametrize("step", [1, 7, 30, 1000])
async def test_rows_that_arrive_in_any_cut_are_passed_on_whole(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    text = b"".join(b'%d,"n\\\\\\\\\\,%d"\n' % (n, n) for n in range(50))
    found: list[list[object]] = []

    class Server:
        async def copy_from_query(self, *_: object, output: Callable[[bytes], Awaitable[None]], delimiter: str) -> None:
            for start in range(0, len(text), step):
                await output(text[start : start + step])

    monkeypatch.setattr(load, "PIECE_BYTES", 100)
    await load._copy(Server(), "", to=lambda piece: found.append(json.loads(piece)))
    assert [row for piece in found for row in piece] == [[n, f"n\\,{n}"] for n in range(50)]
    assert len(found) > 5 or step == 1000


async def test_another_partitions_rows_are_not_loaded(storage: Storage) -> None:
    await storage.own(0)
    await storage.own(1)
    held = await storage.hold("a", part=1)
    row = order_row(held.order_id, "a", part=1)
    await storage.commit(storage.batch(0), storage.batch(1, new_orders=[row], intake_marks=[mark(row)]))
    assert (await storage.ledger.load(0)).orders == []
    assert (await storage.ledger.load(1)).orders == [row]


async def test_ids_past_their_bound_leave_the_dedupe_window(storage: Storage) -> None:
    await storage.own(0)
    row = await storage.rest("a")
    await storage.commit(storage.batch(log_time=START_MS + WINDOW_MS))
    assert (await storage.ledger.load(0)).applied == [(row.order_id, START_MS + WINDOW_MS)]
    await storage.commit(storage.batch(log_time=START_MS + WINDOW_MS + 1))
    assert (await storage.ledger.load(0)).applied == []


async def test_a_touched_order_is_stored_as_it_is_now(storage: Storage) -> None:
    await storage.own(0)
    row = await storage.rest("a")
    changed = row._replace(
        price=21, qty=4, status=2, executed=1, cum_quote=20, held=63, visible=3, prevented=1, stage=3, trail_ref=4,
        priority_seq=77, updated_ms=START_MS + 5, working_ms=START_MS + 4, code=-2010, text="why",
    )  # fmt: skip
    await storage.commit(storage.batch(touched_orders=[changed]))
    assert await storage.ledger.orders_by_id([row.order_id]) == [changed]
    assert (await storage.ledger.load(0)).orders == [changed]
    closed = changed._replace(open=0, held=0, status=CANCELED)
    await storage.commit(storage.batch(touched_orders=[closed], intake_closed=[row.order_id]))
    assert (await storage.ledger.load(0)).orders == []
    assert await storage.ledger.orders_by_id([row.order_id]) == [closed]


async def test_a_first_outcome_without_intake_stops_the_batch_and_names_the_partition(storage: Storage) -> None:
    await storage.own(0)
    await storage.own(3)
    held = await storage.hold("a", 100)
    good = order_row(held.order_id, "a")
    stranger = order_row(4711, "b", part=3)
    batches = [
        storage.batch(0, new_orders=[good], intake_marks=[mark(good)]),
        storage.batch(3, new_orders=[stranger], intake_marks=[mark(stranger)]),
    ]
    with pytest.raises(IntakeMissing, match=r"partition 3.*4711"):
        await storage.ledger.commit(batches)
    assert [row.next_offset for row in await storage.ledger.partitions()] == [0, 0]
    assert await storage.ledger.orders_by_id([held.order_id, 4711]) == []


@pytest.mark.parametrize("lie", [{"held": 99}, {"part": 1}])
async def test_an_outcome_must_agree_with_the_hold_and_its_partition(storage: Storage, lie: dict[str, int]) -> None:
    await storage.own(0)
    held = await storage.hold("a", 100)
    row = order_row(held.order_id, "a")
    with pytest.raises(IntakeMissing):
        await storage.commit(storage.batch(new_orders=[row], intake_marks=[mark(row)._replace(**lie)]))


async def test_an_order_has_only_one_first_outcome(storage: Storage) -> None:
    await storage.own(0)
    row = await storage.rest("a")
    with pytest.raises(IntakeMissing, match="applied at 0"):
        await storage.commit(storage.batch(intake_marks=[mark(row)._replace(applied_offset=1)]))


async def test_a_row_that_contradicts_the_ledger_halts_its_partition_not_the_venue(storage: Storage) -> None:
    await storage.own(0)
    row = await storage.rest("a")
    with pytest.raises(IntakeMissing):
        await storage.commit(storage.batch(touched_orders=[row._replace(order_id=4711)]))
    with pytest.raises(IntakeMissing):
        await storage.commit(storage.batch(new_orders=[row]))
    with pytest.raises(IntakeMissing):
        await storage.commit(storage.batch(trades=[trade_row(1 << 63)]))
    assert (await storage.hold("b")).status == "held"
    assert await storage.commit(storage.batch()) == {0}


@pytest.mark.parametrize("lacks", ["intake", "order", "both"])
async def test_nothing_is_left_of_a_batch_that_relies_on_what_is_not_there(storage: Storage, lacks: str) -> None:
    await storage.own(0)
    known = await storage.rest("known")
    held = await storage.hold("new")
    new = order_row(held.order_id, "new", applied_offset=1)
    stranger = order_row(4711, "x", applied_offset=1)
    batch = storage.batch(
        new_orders=[new],
        touched_orders=[filled(known), *([] if lacks == "intake" else [stranger])],
        intake_marks=[mark(new), *([] if lacks == "order" else [mark(stranger)])],
        intake_closed=[known.order_id],
        trades=[trade_row(1)],
        postings=[posting(ALICE, 5, 0, offset=1)],
        symbols=[symbol_row()],
        candles=[candle(0)],
        told=b"told",
    )
    before = await storage.ledger.load(0)
    with pytest.raises(IntakeMissing, match="not in the ledger" if lacks == "order" else "4711"):
        await storage.ledger.commit([batch])
    assert await storage.ledger.load(0) == before
    assert await storage.ledger.orders_by_id([known.order_id, new.order_id]) == [known]
    assert await storage.ledger.trades(1) == []
    assert await storage.money(ALICE) == (MONEY - 200, 200)
    assert [row.order_id for row in await storage.ledger.open_targets(ALICE, None)] == [known.order_id, new.order_id]


async def test_a_known_order_takes_another_name(storage: Storage) -> None:
    await storage.own(0)
    row = await storage.rest("old")
    renamed = row._replace(client_order_id="new", qty=4)
    assert await storage.commit(storage.batch(touched_orders=[renamed])) == {0}
    assert await storage.ledger.orders_by_id([row.order_id]) == [renamed]
    assert [row.client_order_id for row in await storage.ledger.open_targets(ALICE, None)] == ["new"]


async def test_a_refused_batch_beside_other_writes_harms_only_itself(storage: Storage) -> None:
    await storage.own(0)
    row = order_row(4711, "x")
    bad = storage.batch(new_orders=[row], intake_marks=[mark(row)])
    results = await asyncio.gather(
        storage.hold("a"), storage.ledger.commit([bad]), storage.journal.append([(0, b"f")]), return_exceptions=True
    )
    assert isinstance(results[1], IntakeMissing)
    assert results[2] == [0]
    assert await storage.money(ALICE) == (MONEY - 100, 100)


async def test_cancels_that_came_early_are_remembered_until_their_order_comes(storage: Storage) -> None:
    await storage.own(0)
    held = await storage.hold("a")
    await storage.commit(storage.batch(cancel_marks=[CancelMark(held.order_id, 0)]))
    assert (await storage.ledger.load(0)).cancel_marks == [held.order_id]
    row = order_row(held.order_id, "a", applied_offset=1, status=CANCELED, open=0, held=0)
    await storage.commit(storage.batch(new_orders=[row], intake_marks=[mark(row, 100)]))
    assert (await storage.ledger.load(0)).cancel_marks == []


async def test_candles_and_counters_are_replaced_lists_too(storage: Storage) -> None:
    await storage.own(0)
    started = ListRow(1, 0, 1, ALICE, "l", 1, 2, "EXEC_STARTED", START_MS)
    await storage.commit(storage.batch(symbols=[symbol_row()], candles=[candle(0)], lists=[started]))
    later = symbol_row(trade_seq=9, last_price=99)
    done = started._replace(status="ALL_DONE")
    await storage.commit(storage.batch(symbols=[later], candles=[candle(0, volume=8)], lists=[done]))
    assert await storage.ledger.symbols() == [later]
    assert await storage.ledger.candles(1, MINUTE) == [candle(0, volume=8)]
    assert await storage.ledger.order_list(ALICE, 1, None) == done


async def test_everything_of_a_big_batch_arrives(storage: Storage) -> None:
    await storage.own(0)
    count = 1_500
    held = await storage.ledger.hold([request(f"n{n}", 1, group=n) for n in range(count)])
    rows = [order_row(each.order_id, f"n{n}", held=1) for n, each in enumerate(held)]
    batch = storage.batch(
        new_orders=rows,
        intake_marks=[mark(row) for row in rows],
        trades=[trade_row(n + 1, log_offset=0) for n in range(count)],
        postings=[posting(ALICE, 1, -1, offset=0, idx=n) for n in range(count)],
        prevented=[PreventedRow(1, n + 1, 0, 0, ALICE, 1, 2, 20, 1, 1, 1, START_MS) for n in range(count)],
        dead_letters=[DeadLetter(0, 0, "unreadable", b"x"), DeadLetter(0, 0, "also", b"x")],
    )
    assert await storage.commit(batch) == {0}
    assert (await storage.ledger.load(0)).orders == rows
    assert len(await storage.ledger.trades(1, limit=5000)) == count
    assert len(await storage.ledger.prevented(ALICE, 1, limit=5000)) == count
    assert await storage.money(ALICE) == (MONEY, 0)
    changed = [row._replace(executed=1) for row in rows]
    await storage.commit(storage.batch(touched_orders=changed))
    assert (await storage.ledger.load(0)).orders == changed


async def test_checkpoints_are_kept_in_order_and_dropped_from_the_oldest_on(storage: Storage) -> None:
    points = [Checkpoint(0, offset, START_MS, 1, 2, b"h", b"state", START_MS) for offset in (6, 0, 3)]
    for point in points:
        await storage.ledger.save_checkpoint(point)
    await storage.ledger.save_checkpoint(points[0]._replace(state=b"better"))
    assert [(p.next_offset, p.state) for p in await storage.ledger.checkpoints(0)] == [
        (0, b"state"),
        (3, b"state"),
        (6, b"better"),
    ]
    assert await storage.ledger.checkpoints(1) == []
    assert await storage.ledger.drop_checkpoints(0, 3) == 1
    assert [p.next_offset for p in await storage.ledger.checkpoints(0)] == [3, 6]
