"""Self-trade prevention: the scenarios of faqs/stp_faq.md; the taker's mode decides."""

from outcry.market.terms import EXPIRED, EXPIRED_IN_MATCH, NEW
from tests.support.ring import Ring, play


def status(ring: Ring, order_id: int) -> tuple[int, int]:
    order = ring.touched(order_id)
    return order.status, order.prevented


def test_without_a_mode_an_account_trades_with_itself() -> None:
    play("""
        buy 1@100 by 7 stp both  -> #1 rests
        sell 1@100 by 7          -> #2 takes 1@100 from #1
    """)


def test_another_account_trades_whatever_the_mode() -> None:
    play("""
        buy 1@100 by 7           -> #1 rests
        sell 1@100 by 8 stp both -> #2 takes 1@100 from #1
    """)


def test_expire_taker_ends_the_taker_after_what_it_could_trade() -> None:
    ring = play("""
        sell 2@100 by 8            -> #1 rests
        sell 2@101 by 7            -> #2 rests
        buy 5@101 by 7 stp taker   -> #3 takes 2@100 from #1, #2 and #3 kept apart losing 0 and 3,
            #3 expires with 3 (self_trade)
    """)
    assert status(ring, 3) == (EXPIRED_IN_MATCH, 3)
    assert status(ring, 2) == (NEW, 0)


def test_expire_maker_ends_every_own_maker_and_goes_on() -> None:
    ring = play("""
        buy 1@103 by 7             -> #1 rests
        buy 1@102 by 7             -> #2 rests
        buy 1@101 by 8             -> #3 rests
        sell 2@101 by 7 stp maker  -> #1 and #4 kept apart losing 1 and 0, #1 expires with 1 (self_trade),
            #2 and #4 kept apart losing 1 and 0, #2 expires with 1 (self_trade),
            #4 takes 1@101 from #3, #4 rests
    """)
    assert status(ring, 1) == status(ring, 2) == (EXPIRED_IN_MATCH, 1)


def test_expire_both_ends_both() -> None:
    ring = play("""
        buy 1@100 by 7            -> #1 rests
        sell 3@100 by 7 stp both  -> #1 and #2 kept apart losing 1 and 3, #1 expires with 1 (self_trade),
            #2 expires with 3 (self_trade)
    """)
    assert (status(ring, 1), status(ring, 2)) == ((EXPIRED_IN_MATCH, 1), (EXPIRED_IN_MATCH, 3))


def test_the_mode_of_the_maker_does_not_matter() -> None:
    play("""
        buy 1@100 by 7 stp maker   -> #1 rests
        sell 1@100 by 7 stp taker  -> #1 and #2 kept apart losing 0 and 1, #2 expires with 1 (self_trade)
    """)


def test_a_market_order_that_only_met_itself_expires_for_lack_of_others() -> None:
    ring = play("""
        buy 1@100 by 7                -> #1 rests
        sell 1@market by 7 stp maker  -> #1 and #2 kept apart losing 1 and 0, #1 expires with 1 (self_trade),
            #2 expires with 1 (liquidity)
    """)
    assert status(ring, 2) == (EXPIRED, 0)


def test_decrement_takes_the_smaller_size_from_both() -> None:
    ring = play("""
        buy 6@100 by 7                 -> #1 rests
        sell 2@100 by 7 stp decrement  -> #1 and #2 kept apart losing 2 and 2, #2 expires with 2 (self_trade)
    """)
    assert status(ring, 1) == (NEW, 2)
    assert (ring.held(1), ring.market.levels()) == (400, [(1, 100, 4)])
    ring.play("""
        sell 9@100 by 7 stp decrement  -> #1 and #3 kept apart losing 4 and 4, #1 expires with 4 (self_trade), #3 rests
    """)
    assert ring.market.levels() == [(-1, 100, 5)]
