"""Limit and market orders meet by price, then time, at the maker's price."""

from outcry.market import terms
from outcry.market.order import NO_LIST, is_priced, is_stop, order_of
from outcry.market.terms import BUY, NEW
from outcry.rows import OrderRow
from tests.support.ring import Ring, play


def test_a_better_price_beats_an_earlier_time() -> None:
    play("""
        buy 5@99     -> #1 rests
        buy 5@100    -> #2 rests
        sell 5@98    -> #3 takes 5@100 from #2
    """)


def test_at_one_price_the_earlier_order_trades_first() -> None:
    play("""
        sell 5@100     -> #1 rests
        sell 5@100     -> #2 rests
        buy 7@100      -> #3 takes 5@100 from #1, #3 takes 2@100 from #2
        buy 9@100      -> #4 takes 3@100 from #2, #4 rests
    """)


def test_a_sweep_pays_each_maker_its_own_price() -> None:
    play("""
        sell 1@100     -> #1 rests
        sell 1@102     -> #2 rests
        sell 1@105     -> #3 rests
        buy 3@103      -> #4 takes 1@100 from #1, #4 takes 1@102 from #2, #4 rests
    """)


def test_a_canceled_order_trades_no_more() -> None:
    play("""
        sell 5@100     -> #1 rests
        sell 5@100     -> #2 rests
        sell 5@100     -> #3 rests
        cancel #2      -> #2 canceled with 5
        buy 8@100      -> #4 takes 5@100 from #1, #4 takes 3@100 from #3
        cancel #3      -> #3 canceled with 2
        cancel #3      -> #3 refused: Unknown order sent.
    """)


def test_immediate_or_cancel_never_rests() -> None:
    play("""
        sell 5@100     -> #1 rests
        buy 8@100 ioc  -> #2 takes 5@100 from #1, #2 expires with 3 (time_in_force)
        buy 8@100 ioc  -> #3 expires with 8 (time_in_force)
    """)


def test_fill_or_kill_is_all_or_nothing() -> None:
    play("""
        sell 5@100      -> #1 rests
        sell 5@101      -> #2 rests
        buy 11@101 fok  -> #3 expires with 11 (time_in_force)
        buy 6@100 fok   -> #4 expires with 6 (time_in_force)
        buy 10@101 fok  -> #5 takes 5@100 from #1, #5 takes 5@101 from #2
    """)


def test_fill_or_kill_counts_what_an_iceberg_hides() -> None:
    play("""
        sell 9@100 peak 2  -> #1 rests
        buy 4@100 fok      -> #2 takes 2@100 from #1, #2 takes 2@100 from #1
    """)


def test_a_limit_maker_never_takes() -> None:
    play("""
        sell 5@100       -> #1 rests
        buy 5@100 maker  -> #2 refused: Order would immediately match and take.
        buy 5@99 maker   -> #3 rests
    """)


def test_a_market_order_takes_what_there_is_and_expires() -> None:
    play("""
        sell 5@100       -> #1 rests
        sell 5@200       -> #2 rests
        buy 12@market    -> #3 takes 5@100 from #1, #3 takes 5@200 from #2, #3 expires with 2 (liquidity)
        sell 1@market    -> #4 expires with 1 (liquidity)
    """)


def test_a_market_buy_never_spends_more_than_its_hold() -> None:
    ring = play("sell 9@100 -> #1 rests")
    assert ring.send(ring.order("buy 9@market", held=350)) == [
        "#2 takes 3@100 from #1", "#2 expires with 6 (hold)",
    ]  # fmt: skip


def test_a_market_order_by_quote_quantity_trades_whole_lots() -> None:
    play("""
        sell 2@100       -> #1 rests
        sell 9@110       -> #2 rests
        buy $540@market  -> #3 takes 2@100 from #1, #3 takes 3@110 from #2
        buy 4@50         -> #4 rests
        sell $120@market -> #5 takes 2@50 from #4
    """)


def test_a_quote_quantity_below_one_lot_expires() -> None:
    play("""
        sell 2@100      -> #1 rests
        buy $99@market  -> #2 expires with 0 (liquidity)
    """)


def test_a_halted_market_cancels_but_takes_nothing_new() -> None:
    play("""
        sell 5@100     -> #1 rests
        sell 5@100     -> #2 rests
        halt           ->
        buy 5@100      -> #3 refused: Market is closed.
        cancel #1      -> #1 canceled with 5
        open           ->
        buy 5@100      -> #4 takes 5@100 from #2
    """)


def test_a_command_ends_after_its_fills() -> None:
    ring = Ring(max_fills=3)
    ring.play("""
        sell 1@100     -> #1 rests
        sell 1@100     -> #2 rests
        sell 1@100     -> #3 rests
        sell 1@100     -> #4 rests
        buy 4@100 fok  -> #5 expires with 4 (time_in_force)
        buy 4@100      -> #6 takes 1@100 from #1, #6 takes 1@100 from #2, #6 takes 1@100 from #3,
            #6 expires with 1 (fills)
        buy 1@100      -> #7 takes 1@100 from #4
    """)


def test_the_core_tells_types_apart_as_the_terms_do() -> None:
    kinds = terms.TYPE_NAMES
    assert {kind for kind in kinds if is_priced(kind)} == terms.PRICED_TYPES
    assert {kind for kind in kinds if is_stop(kind)} == terms.STOP_TYPES


def test_the_row_of_an_order_has_a_value_for_every_column() -> None:
    order = play("buy 5@99 peak 2 -> #1 rests").pit.find(1)
    assert order is not None
    row = order.row(3)
    assert type(row) is OrderRow and len(row) == len(OrderRow._fields)
    assert (row.order_id, row.part, row.side, row.price, row.qty, row.iceberg_qty) == (1, 3, BUY, 99, 5, 2)
    assert (row.visible, row.status, row.held, row.list_id, row.text, row.open) == (2, NEW, 495, NO_LIST, "", 1)


def test_an_open_order_that_was_kept_comes_back_as_it_was() -> None:
    numbers = dict(zip(OrderRow._fields, range(1, 100), strict=False))
    kept = OrderRow(**{
        **numbers, "client_order_id": "name", "status": NEW, "code": 0, "text": "", "list_id": NO_LIST, "open": 1,
    })  # fmt: skip
    order = order_of(kept)
    assert order.row(kept.part) == kept
    assert order.left == max(0, kept.qty - kept.executed - kept.prevented)
    more = kept._replace(qty=1000, executed=300, prevented=20)
    assert order_of(more).left == 680
