"""The port QueryLedger: orders, trades, candles and balances as people ask for them."""

import asyncio

from outcry.codec import encode_command
from outcry.market.commands import PlaceList, PlaceOrder, ReplaceOrder
from outcry.market.terms import PENDING_NEW, SELL
from outcry.rows import AmendmentRow, CandleRow, ListRow, OrderRow, PreventedRow, TradeRow
from tests.support.storage import (
    ALICE,
    BOB,
    BTC,
    MONEY,
    START_MS,
    USD,
    Storage,
    filled,
    mark,
    order_row,
    posting,
    request,
    trade_row,
)

HOUR_MS = 3_600_000


async def placed(storage: Storage, count: int, step_ms: int = 1000) -> list[int]:
    """Ids of Alice's orders, one every ``step_ms``."""
    ids = []
    for n in range(count):
        held = await storage.hold(f"n{n}", 1)
        now = storage.clock.ms
        row = order_row(held.order_id, f"n{n}", held=1, placed_ms=now, updated_ms=now)
        await storage.commit(storage.batch(new_orders=[row], intake_marks=[mark(row)]))
        ids.append(held.order_id)
        storage.clock.ms += step_ms
    return ids


async def asked(storage: Storage, **more: int | None) -> list[int]:
    given = {"from_id": None, "start_ms": None, "end_ms": None, "limit": 100, **more}
    rows = await storage.ledger.orders(ALICE, 1, **given)  # type: ignore[arg-type]
    return [row.order_id for row in rows]


async def test_an_order_without_outcome_is_pending(storage: Storage) -> None:
    await storage.own(0)
    held = await storage.hold("a")
    by_id = await storage.ledger.order(ALICE, 1, held.order_id, None)
    by_name = await storage.ledger.order(ALICE, 1, None, "a")
    assert by_id is not None and by_id == by_name
    assert (by_id.status, by_id.executed, by_id.qty, by_id.price, by_id.order_id) == (
        PENDING_NEW,
        0,
        5,
        20,
        held.order_id,
    )
    assert await storage.ledger.order(BOB, 1, held.order_id, None) is None
    assert await storage.ledger.order(ALICE, 1, held.order_id, "b") is None
    assert await storage.ledger.order(ALICE, 2, None, "a") is None


async def test_pending_legs_and_replacements_show_their_own_terms(storage: Storage) -> None:
    def order(name: str, qty: int) -> PlaceOrder:
        return PlaceOrder(
            command_id=0, symbol_id=1, order_id=0, account=ALICE, client_order_id=name, side=SELL, type=1, qty=qty
        )

    pair = PlaceList(
        command_id=0,
        symbol_id=1,
        list_id=0,
        account=ALICE,
        client_list_id="l",
        above=order("a", 3),
        below=order("b", 4),
    )
    swap = ReplaceOrder(
        command_id=0, symbol_id=1, account=ALICE, order_id=1, target_valid_until_ms=0, new=order("c", 6)
    )
    bodies = {"a": encode_command(pair), "b": encode_command(pair), "c": encode_command(swap), "d": b"\xff"}
    for name, body in bodies.items():
        await storage.ledger.hold([request(name)._replace(body=body)])
    shown = [await storage.ledger.order(ALICE, 1, None, name) for name in "abcd"]
    assert [row.qty for row in shown if row is not None] == [3, 4, 6, 0]


async def test_by_client_id_the_newest_order_wins(storage: Storage) -> None:
    await storage.own(0)
    first = await storage.rest("a")
    await storage.commit(storage.batch(touched_orders=[filled(first)], intake_closed=[first.order_id]))
    assert await storage.ledger.order(ALICE, 1, None, "a") == filled(first)
    second = await storage.rest("a")
    assert await storage.ledger.order(ALICE, 1, None, "a") == second
    await storage.commit(storage.batch(touched_orders=[filled(second)], intake_closed=[second.order_id]))
    third = await storage.hold("a")
    newest = await storage.ledger.order(ALICE, 1, None, "a")
    assert newest is not None and newest.order_id == third.order_id
    assert await storage.ledger.order(ALICE, 1, first.order_id, None) == filled(first)


async def test_open_orders_are_those_of_the_account(storage: Storage) -> None:
    await storage.own(0)
    rows = [await storage.rest("a"), await storage.rest("b", account=BOB)]
    done = await storage.rest("c")
    await storage.commit(storage.batch(touched_orders=[filled(done)], intake_closed=[done.order_id]))
    assert await storage.ledger.open_orders(ALICE, None) == [rows[0]]
    assert await storage.ledger.open_orders(BOB, 1) == [rows[1]]
    assert await storage.ledger.open_orders(ALICE, 2) == []


async def test_all_orders_come_from_an_id_on_or_the_newest(storage: Storage) -> None:
    await storage.own(0)
    ids = await placed(storage, 6)
    assert await asked(storage) == ids
    assert await asked(storage, limit=2) == ids[4:]
    assert await asked(storage, from_id=ids[2], limit=3) == ids[2:5]
    assert await storage.ledger.orders(BOB, 1, from_id=None, start_ms=None, end_ms=None, limit=9) == []


async def test_all_orders_can_be_limited_to_a_time(storage: Storage) -> None:
    await storage.own(0)
    ids = await placed(storage, 40, step_ms=300_000)
    at = [START_MS + n * 300_000 for n in range(40)]
    assert await asked(storage, start_ms=at[10], end_ms=at[12]) == ids[10:13]
    assert await asked(storage, start_ms=at[10] + 1, limit=2) == ids[11:13]
    assert await asked(storage, end_ms=at[5] - 1, limit=2) == ids[3:5]
    assert await asked(storage, start_ms=at[39] + 1) == []
    assert await asked(storage, end_ms=at[0] - 1) == []
    assert await asked(storage, start_ms=0, end_ms=at[1]) == ids[:2]


async def test_asking_an_empty_ledger_gives_nothing(storage: Storage) -> None:
    assert await asked(storage, start_ms=0, end_ms=START_MS) == []
    assert await storage.ledger.trades(1, start_ms=5) == []
    assert await storage.ledger.agg_trades(1, from_id=3) == []
    assert await storage.ledger.fills(ALICE, 1, start_ms=0) == []
    assert await storage.ledger.order_fills([]) == {}
    assert await storage.ledger.order_fills([order_row(1, "a")]) == {1: []}
    assert await storage.ledger.candles(1, 60_000) == []
    assert await storage.ledger.orders_by_id([]) == []
    assert await storage.ledger.targets([]) == []


async def market(storage: Storage) -> list[TradeRow]:
    """Twenty trades, ids 1 to 20, one each hour, two per record, three per aggregate; every fourth is not Alice's."""
    await storage.own(0)
    rows = [
        trade_row(
            n, agg_id=(n - 1) // 3 + 1, log_offset=n // 2, time_ms=START_MS + n * HOUR_MS, maker_order=100 + n % 2,
            taker_order=200 + n, maker_account=ALICE if n % 4 else BOB, taker_account=BOB,
        )
        for n in range(1, 21)
    ]  # fmt: skip
    await storage.commit(storage.batch(records=11, trades=[*rows, trade_row(1, symbol_id=2)]))
    return rows


async def test_trades_come_from_an_id_or_a_time_on_or_the_newest(storage: Storage) -> None:
    rows = await market(storage)
    ask = storage.ledger.trades
    assert await ask(1) == rows
    assert await ask(1, limit=3) == rows[17:]
    assert await ask(1, from_id=5, limit=3) == rows[4:7]
    assert await ask(1, start_ms=START_MS + 5 * HOUR_MS, limit=2) == rows[4:6]
    assert await ask(1, start_ms=START_MS + 5 * HOUR_MS + 1, end_ms=START_MS + 8 * HOUR_MS) == rows[5:8]
    assert await ask(1, end_ms=START_MS + 3 * HOUR_MS, limit=2) == rows[1:3]
    assert await ask(1, start_ms=START_MS + 21 * HOUR_MS) == []


async def test_every_time_is_found(storage: Storage) -> None:
    rows = await market(storage)
    for hour in range(22):
        found = await storage.ledger.trades(1, start_ms=START_MS + hour * HOUR_MS)
        assert found == [row for row in rows if row.trade_id >= hour]


async def test_aggregates_are_whole(storage: Storage) -> None:
    rows = await market(storage)
    ask = storage.ledger.agg_trades
    groups = [rows[n : n + 3] for n in range(0, 20, 3)]
    assert await ask(1) == groups
    assert await ask(1, limit=2) == groups[5:]
    assert await ask(1, from_id=3, limit=2) == groups[2:4]
    assert await ask(1, from_id=99) == []
    assert await ask(1, start_ms=START_MS + 4 * HOUR_MS, limit=1) == groups[1:2]
    assert await ask(1, start_ms=START_MS + 4 * HOUR_MS, end_ms=START_MS + 9 * HOUR_MS) == groups[1:3]


async def test_fills_are_those_of_the_account_on_either_side(storage: Storage) -> None:
    rows = await market(storage)
    own = [row for row in rows if row.trade_id % 4]
    ask = storage.ledger.fills
    assert await ask(ALICE, 1) == own
    assert await ask(BOB, 1) == rows
    assert await ask(ALICE, 1, limit=2) == own[-2:]
    assert await ask(ALICE, 1, from_id=7, limit=2) == own[5:7]
    assert await ask(ALICE, 1, start_ms=START_MS + 4 * HOUR_MS, end_ms=START_MS + 6 * HOUR_MS) == own[3:5]
    assert await ask(ALICE, 2) == [trade_row(1, symbol_id=2)]


async def test_fills_of_one_order(storage: Storage) -> None:
    rows = await market(storage)
    storage.clock.ms = START_MS + 40 * HOUR_MS
    maker = order_row(101, "m", updated_ms=START_MS + 20 * HOUR_MS, executed=50, open=0)
    taker = order_row(
        205, "t", account=BOB, placed_ms=START_MS + 5 * HOUR_MS, updated_ms=START_MS + 5 * HOUR_MS, executed=5, open=0
    )
    resting = order_row(100, "r", updated_ms=START_MS + 18 * HOUR_MS, executed=25)
    await storage.commit(storage.batch(new_orders=[maker, taker, resting, order_row(300, "u")]))
    assert await storage.ledger.fills(ALICE, 1, order_id=101) == [row for row in rows if row.trade_id % 2]
    assert await storage.ledger.fills(ALICE, 1, order_id=100) == [row for row in rows if row.trade_id % 4 == 2]
    assert await storage.ledger.fills(BOB, 1, order_id=205) == [rows[4]]
    assert await storage.ledger.fills(ALICE, 1, order_id=300) == []
    assert await storage.ledger.fills(ALICE, 1, order_id=4711) == []


async def test_the_fills_of_an_answer_are_those_of_its_own_record(storage: Storage) -> None:
    rows, ask = await market(storage), storage.ledger.order_fills

    def placed(n: int, **fields: int) -> OrderRow:
        own = {"placed_ms": START_MS + n * HOUR_MS, "applied_offset": n // 2}
        return order_row(200 + n, f"t{n}", account=BOB, **(own | fields))

    assert await ask([placed(5)]) == {205: [rows[4]]}
    assert await ask([placed(6)]) == {206: [rows[5]]}
    assert await ask([placed(5, applied_offset=3)]) == {205: []}, "a trade of another record"
    assert await ask([order_row(101, "m", placed_ms=START_MS + 5 * HOUR_MS, applied_offset=2)]) == {101: []}
    elsewhere = placed(7, symbol_id=2)
    asked = [placed(20), placed(5), elsewhere, placed(6), placed(8, applied_offset=3)]
    assert await ask(asked) == {220: [rows[19]], 205: [rows[4]], 207: [], 206: [rows[5]], 208: []}


async def test_trades_are_found_by_symbol_id_and_time_and_no_others(storage: Storage) -> None:
    rows = await market(storage)
    places = [(row.symbol_id, row.trade_id, row.time_ms) for row in rows]
    assert sorted(await storage.ledger.named_trades(places[3:6])) == rows[3:6]
    symbol_id, trade_id, time_ms = places[3]
    others = [(symbol_id + 1, trade_id, time_ms), (symbol_id, 4711, time_ms), (symbol_id, trade_id, time_ms + 1)]
    assert await storage.ledger.named_trades([*others, places[0]]) == [rows[0]]
    assert await storage.ledger.named_trades([]) == []


async def test_an_account_that_traded_with_itself_has_one_trade(storage: Storage) -> None:
    await storage.own(0)
    await storage.commit(storage.batch(trades=[trade_row(1, taker_account=ALICE)]))
    assert len(await storage.ledger.fills(ALICE, 1)) == 1


async def test_candles_come_from_a_time_on_or_the_newest(storage: Storage) -> None:
    rows = [CandleRow(1, 60_000, n * 60_000, 1, 2, 1, 2, 3, 4, 5, 6, 7, 8, 9) for n in range(10)]
    await storage.ledger.put_candles(rows)
    ask = storage.ledger.candles
    assert await ask(1, 60_000) == rows
    assert await ask(1, 60_000, limit=3) == rows[7:]
    assert await ask(1, 60_000, start_ms=60_000, limit=3) == rows[1:4]
    assert await ask(1, 60_000, start_ms=60_001, end_ms=180_000) == rows[2:4]
    assert await ask(1, 60_000, end_ms=180_000, limit=2) == rows[2:4]
    assert await ask(1, HOUR_MS) == []


async def test_prevented_matches(storage: Storage) -> None:
    await storage.own(0)
    rows = [PreventedRow(1, n, 0, 0, ALICE, 10 + n % 2, 20 + n, 20, 1, 1, 1, START_MS) for n in range(1, 6)]
    await storage.commit(storage.batch(prevented=rows))
    ask = storage.ledger.prevented
    assert await ask(ALICE, 1) == rows
    assert await ask(ALICE, 1, order_id=11) == [rows[0], rows[2], rows[4]]
    assert await ask(ALICE, 1, order_id=22) == [rows[1]]
    assert await ask(ALICE, 1, from_id=2, limit=2) == rows[1:3]
    assert await ask(BOB, 1) == []


async def test_the_last_prevented_match_of_an_order_is_found_on_either_side(storage: Storage) -> None:
    await storage.own(0)
    met = [(10, 11), (12, 10), (10, 13), (14, 11)]
    rows = [PreventedRow(1, n, 0, 0, ALICE, *pair, 20, 1, 1, 1, START_MS) for n, pair in enumerate(met, 1)]
    await storage.commit(storage.batch(prevented=rows))
    assert await storage.ledger.last_prevented([10, 11, 12, 13, 99]) == {10: 3, 11: 4, 12: 2, 13: 3}
    assert await storage.ledger.last_prevented([]) == {}


async def test_amends_of_an_order_are_the_newest_or_those_from_an_id_on(storage: Storage) -> None:
    await storage.own(0)
    rows = [
        AmendmentRow(0, n, 0, 1, ALICE, 7 + n % 2, f"a{n}", f"a{n + 2}", 20 - n, 18 - n, START_MS + n)
        for n in range(1, 8)
    ]
    await storage.commit(storage.batch(amendments=rows))
    ask = storage.ledger.amendments
    assert await ask(ALICE, 1, 8) == rows[::2]
    assert await ask(ALICE, 1, 8, limit=2) == [rows[4], rows[6]]
    assert await ask(ALICE, 1, 8, from_id=3, limit=2) == [rows[2], rows[4]]
    assert await ask(ALICE, 1, 8, from_id=0, limit=1) == [rows[0]]
    assert await ask(BOB, 1, 8) == await ask(ALICE, 2, 8) == await ask(ALICE, 1, 99) == []


async def test_order_lists_and_their_orders(storage: Storage) -> None:
    await storage.own(0)
    lists = [
        ListRow(n, 0, 1, ALICE, f"l{n}", 10 * n, 10 * n + 1, "ALL_DONE" if n % 2 else "EXEC_STARTED", START_MS + n)
        for n in range(1, 6)
    ]
    orders = [order_row(10 * n + leg, f"o{n}{leg}", list_id=n, open=0) for n in (1, 2) for leg in (0, 1)]
    loner = order_row(99, "loner")
    await storage.commit(storage.batch(lists=lists, new_orders=[*orders, loner]))
    ask = storage.ledger.order_lists
    assert await storage.ledger.order_list(ALICE, 2, None) == lists[1]
    assert await storage.ledger.order_list(ALICE, None, "l3") == lists[2]
    assert await storage.ledger.order_list(BOB, 2, None) is None
    assert await ask(ALICE, open_only=False) == lists
    assert await ask(ALICE, open_only=True) == [lists[1], lists[3]]
    assert await ask(ALICE, open_only=False, from_id=2, limit=2) == lists[1:3]
    assert await ask(ALICE, open_only=False, limit=2) == lists[3:]
    assert await ask(ALICE, open_only=False, start_ms=START_MS + 2, end_ms=START_MS + 3) == lists[1:3]
    assert await storage.ledger.list_orders([1, 2]) == orders
    assert await storage.ledger.list_orders([-1, 4711]) == []


async def test_balances_are_money_and_postings_of_one_moment(storage: Storage) -> None:
    await storage.own(0)
    await storage.hold("a", 10)
    rows = [
        posting(ALICE, 3, -1, offset=0),
        posting(ALICE, 5, 0, offset=0, idx=1, asset=3),
        posting(BOB, 1, 0, offset=0, idx=2),
    ]
    await storage.commit(storage.batch(postings=rows))
    before = await storage.ledger.balances(ALICE)
    assert [tuple(row) for row in before] == [(USD, MONEY - 7, 9), (BTC, MONEY, 0), (3, 5, 0)]
    await storage.ledger.fold([0])
    assert await storage.ledger.balances(ALICE) == before


async def test_each_of_many_who_ask_for_balances_at_once_gets_his_own(storage: Storage) -> None:
    await storage.own(0)
    await storage.own(1)
    for part in (0, 1):
        rows = [
            posting(ALICE, 3, 0, offset=0)._replace(part=part),
            posting(BOB, 7, 0, offset=0, idx=1)._replace(part=part),
        ]
        await storage.commit(storage.batch(part, postings=rows))
    await storage.ledger.fold([1])
    nobody = 4711
    found = await asyncio.gather(*(storage.ledger.balances(each) for each in (ALICE, BOB, nobody, ALICE)))
    assert [[tuple(row) for row in own if row.asset_id == USD] for own in found] == [
        [(USD, MONEY + 6, 0)], [(USD, MONEY + 14, 0)], [], [(USD, MONEY + 6, 0)],
    ]  # fmt: skip
    assert found[2] == []
    await storage.commit(storage.batch(postings=[posting(ALICE, 1, 0, offset=1)]))
    found = await asyncio.gather(*(storage.ledger.balances(each) for each in (ALICE, BOB)))
    assert [own[0].free for own in found] == [MONEY + 7, MONEY + 14]


async def test_texts_of_any_kind_come_back_unchanged(storage: Storage) -> None:
    await storage.own(0)
    name = 'quote" back\\slash \u00e9 \U0001f600 \t'
    row = order_row(1, name, text='it\'s "so"')
    await storage.commit(storage.batch(new_orders=[row]))
    assert await storage.ledger.orders_by_id([1]) == [row]
    assert await storage.ledger.order(ALICE, 1, None, name) == row


async def test_the_largest_numbers_come_back_unchanged(storage: Storage) -> None:
    await storage.own(0)
    row = order_row(1, "big", cum_quote=(1 << 62) + 1, executed=(1 << 53) + 1)
    await storage.commit(storage.batch(new_orders=[row]))
    assert await storage.ledger.orders_by_id([1]) == [row]
