"""The pit around the books: symbols, limits per account, numbers, and going on from stored rows."""

import msgspec

from outcry.market.commands import CancelAll, CancelOrder, PlaceOrder, SetInstrument, SetVersion, Tick
from outcry.market.events import InstrumentChanged, OrderRejected
from outcry.market.instrument import HALTED, TRADING
from outcry.market.pit import Pit
from outcry.market.terms import BUY, LIMIT, REJECTED
from tests.support.ring import UNITS, Ring, play


def test_an_unknown_symbol_is_refused_with_the_hold_given_back() -> None:
    pit = Pit()
    order = PlaceOrder(
        command_id=1, symbol_id=9, order_id=5, account=7, client_order_id="a", side=BUY, type=LIMIT, qty=1, price=1,
        held=1,
    )  # fmt: skip
    (refusal,) = pit.apply(order, 10)
    assert isinstance(refusal, OrderRejected)
    assert (refusal.code, refusal.text, refusal.released) == (-1121, "Invalid symbol.", 1)
    (order,) = pit.touched
    row = order.row(0)
    assert (row.status, row.code, row.held, row.open) == (REJECTED, -1121, 0, 0)
    (refusal,) = pit.apply(CancelOrder(command_id=1, symbol_id=9, account=7, order_id=5, target_valid_until_ms=0), 10)
    assert isinstance(refusal, OrderRejected) and refusal.code == -1121


def test_ticks_and_versions_cause_nothing() -> None:
    pit = Pit()
    assert pit.apply(Tick(command_id=0, symbol_id=0), 1) == []
    assert pit.apply(SetVersion(command_id=0, symbol_id=0, rules_version=2), 1) == []


def test_terms_may_change_but_not_the_units() -> None:
    ring = Ring()
    seen = ring.market.public_seq
    wider = msgspec.structs.replace(UNITS, max_orders=5)
    ring.send(SetInstrument(command_id=0, symbol_id=1, instrument=wider))
    assert ring.events == [InstrumentChanged(symbol_id=1, status=TRADING)]
    assert (ring.market.instrument, ring.market.public_seq) == (wider, seen + 1)
    finer = msgspec.structs.replace(wider, tick_size=100_000)
    ring.send(SetInstrument(command_id=0, symbol_id=1, instrument=finer))
    assert isinstance(ring.events[0], OrderRejected) and ring.market.instrument == wider


def test_a_halt_is_part_of_the_terms() -> None:
    ring = Ring()
    ring.shout("halt")
    assert ring.events == [InstrumentChanged(symbol_id=1, status=HALTED)]
    assert ring.market.instrument.status == HALTED


def test_open_orders_per_account_are_limited() -> None:
    ring = Ring(msgspec.structs.replace(UNITS, max_orders=3, max_algo_orders=1))
    ring.play("""
        buy 1@10 by 7         -> #1 rests
        buy 1@90 stop 80 by 7 -> #2 waits
        buy 1@90 stop 80 by 7 -> #3 refused: Filter failure: MAX_NUM_ALGO_ORDERS
        buy 1@10 by 7         -> #4 rests
        buy 1@10 by 7         -> #5 refused: Filter failure: MAX_NUM_ORDERS
        buy 1@10 by 8         -> #6 rests
        cancel #2             -> #2 canceled with 1
        buy 1@90 stop 80 by 7 -> #7 waits
        cancel #1             -> #1 canceled with 1
        buy 1@10 by 7         -> #8 rests
    """)
    ring.shout("buy 1@10 by 7")
    assert [event.code for event in ring.events if isinstance(event, OrderRejected)] == [-1013]


def test_an_order_id_that_is_open_is_refused_without_harm() -> None:
    ring = play("buy 1@10 -> #1 rests")
    ring.last_id = 0
    assert ring.shout("buy 5@10") == ["#1 refused: Duplicate order sent.", "#1 rests"]
    assert ring.market.levels() == [(1, 10, 1)]


def test_only_the_owner_cancels() -> None:
    ring = play("buy 1@10 by 7 -> #1 rests")
    told = ring.send(CancelOrder(command_id=0, symbol_id=1, account=8, order_id=1, target_valid_until_ms=0))
    assert told == ["#1 refused: Unknown order sent."]


def test_cancel_all_passes_over_what_is_gone() -> None:
    ring = play("""
        buy 1@10 by 7 -> #1 rests
        buy 1@11 by 7 -> #2 rests
        buy 1@12 by 8 -> #3 rests
        cancel #1     -> #1 canceled with 1
    """)
    every = CancelAll(command_id=0, symbol_id=1, account=7, targets=((1, 0), (2, 0), (3, 0)))
    assert ring.send(every) == ["#2 canceled with 1"]
    assert ring.send(every) == ["#0 refused: Unknown order sent."]


def test_numbers_count_commands_that_the_public_sees() -> None:
    ring = Ring()
    market = ring.market
    seen = []
    for command in ("buy 5@99", "buy 5@market stop 200", "sell 2@99", "cancel #2", "sell 9@99 fok", "halt"):
        ring.shout(command)
        seen.append((market.update_id, market.public_seq - 1))
    assert seen == [(1, 1), (1, 1), (2, 2), (2, 2), (2, 2), (2, 3)]


def test_changed_levels_are_told_once_as_they_are_now() -> None:
    ring = play("""
        buy 5@99   -> #1 rests
        buy 2@99   -> #2 rests
        sell 1@101 -> #3 rests
        sell 6@99  -> #4 takes 5@99 from #1, #4 takes 1@99 from #2
        cancel #3  -> #3 canceled with 1
    """)
    assert sorted(ring.market.take_levels()) == [(-1, 101, 0), (1, 99, 1)]
    assert ring.market.take_levels() == []
    assert ring.market.levels() == [(1, 99, 1)]


def test_a_pit_goes_on_from_its_rows() -> None:
    """Price, time, peaks, waiting stops, trailing extremes and lists survive; the laws try it in every session."""
    ring = play("""
        buy 5@99                    -> #1 rests
        sell 9@101 peak 2           -> #2 rests
        sell 1@101                  -> #3 rests
        buy 3@101                   -> #4 takes 2@101 from #2, #4 takes 1@101 from #3
        sell 4@market loss trail 500 -> #5 waits
        buy 2@120 stop 110          -> #6 waits
    """)
    market = ring.market
    rows = sorted((order.row(3) for order in market.orders.values()), key=lambda row: row.priority_seq)
    pit = Pit()
    pit.restore([market.row(3)], [])
    pit.restore_orders(rows[:2])
    pit.restore_orders(rows[2:])
    again = pit.markets[1]
    assert again.row(3) == market.row(3)
    assert again.levels() == market.levels()
    assert [pit.find(row.order_id).row(3) for row in rows] == rows  # type: ignore[union-attr]
