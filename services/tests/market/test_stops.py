"""Stops wait unseen until the last price reaches them; trailing ones follow the extreme (faqs/trailing-stop-faq.md)."""

import pytest

from outcry.market.terms import TRIGGERED
from tests.support.ring import Ring, play


def trade_at(ring: Ring, *prices: int) -> list[str]:
    """Prints trades of one lot between two bystanders; gives what the last one set off beside itself."""
    told: list[str] = []
    for price in prices:
        ring.shout(f"sell 1@{price} by 8")
        told = ring.shout(f"buy 1@{price} ioc by 9")[1:]
    return told


def test_a_stop_is_not_in_the_book_until_it_triggers() -> None:
    ring = play("""
        sell 5@100                -> #1 rests
        sell 5@105                -> #2 rests
        buy 2@110 stop 102        -> #3 waits
    """)
    assert ring.market.levels() == [(-1, 100, 5), (-1, 105, 5)]
    ring.play("""
        buy 5@100                 -> #4 takes 5@100 from #1
        buy 1@105                 -> #5 takes 1@105 from #2, #3 triggers, #3 takes 2@105 from #2
    """)


@pytest.mark.parametrize(
    ("order", "quiet", "reached"),
    [
        ("sell 1@market stop 95", 96, 95),
        ("sell 1@90 stop 95", 96, 95),
        ("sell 1@market profit 105", 104, 105),
        ("buy 1@market stop 105", 104, 105),
        ("buy 1@market profit 95", 96, 95),
    ],
)
def test_a_stop_triggers_when_the_last_price_reaches_it(order: str, quiet: int, reached: int) -> None:
    ring = Ring()
    trade_at(ring, 100)
    assert ring.shout(order) == [f"#{ring.last_id} waits"]
    stop = f"#{ring.last_id} triggers"
    assert stop not in trade_at(ring, quiet)
    assert stop in trade_at(ring, reached)


def test_a_stop_already_reached_is_refused() -> None:
    ring = Ring()
    trade_at(ring, 100)
    for order in ("sell 1@market stop 100", "buy 1@market stop 99", "sell 1@90 profit 100", "buy 1@90 profit 101"):
        told = ring.shout(order)
        assert told == [f"#{ring.last_id} refused: Order would trigger immediately."]


def test_stops_reached_by_one_trade_enter_in_the_order_in_which_they_came() -> None:
    play("""
        buy 9@50              -> #1 rests
        sell 1@market stop 60 -> #2 waits
        sell 1@market stop 90 -> #3 waits
        sell 1@market stop 70 -> #4 waits
        sell 1@50             -> #5 takes 1@50 from #1, #2 triggers, #3 triggers, #4 triggers,
            #2 takes 1@50 from #1, #3 takes 1@50 from #1, #4 takes 1@50 from #1
    """)


def test_one_stop_sets_off_the_next() -> None:
    play("""
        buy 1@100              -> #1 rests
        buy 1@95               -> #2 rests
        buy 1@90               -> #3 rests
        sell 1@market stop 95  -> #4 waits
        sell 1@market stop 100 -> #5 waits
        sell 1@100             -> #6 takes 1@100 from #1, #5 triggers, #5 takes 1@95 from #2,
            #4 triggers, #4 takes 1@90 from #3
    """)


def test_a_triggered_stop_limit_rests_at_its_price() -> None:
    ring = play("""
        buy 2@100           -> #1 rests
        sell 3@98 stop 100  -> #2 waits
        sell 1@100          -> #3 takes 1@100 from #1, #2 triggers, #2 takes 1@100 from #1
    """)
    assert ring.market.levels() == [(-1, 98, 2)]


def test_a_canceled_stop_never_triggers() -> None:
    ring = Ring()
    trade_at(ring, 100)
    ring.shout("sell 1@market stop 95")
    ring.shout(f"cancel #{ring.last_id}")
    assert trade_at(ring, 90) == []


def test_stops_beyond_the_bound_wait_for_the_next_turn() -> None:
    ring = Ring(max_triggers=2)
    ring.play("""
        buy 9@50              -> #1 rests
        sell 1@market stop 60 -> #2 waits
        sell 1@market stop 60 -> #3 waits
        sell 1@market stop 60 -> #4 waits
        sell 1@50             -> #5 takes 1@50 from #1, #2 triggers, #3 triggers, #4 triggers,
            #2 takes 1@50 from #1, #3 takes 1@50 from #1
    """)
    last = ring.pit.find(4)
    assert ring.pit.backlog() and last is not None and last.stage == TRIGGERED
    before = ring.market.update_id
    assert [type(event).__name__ for event in ring.pit.resume(0)] == ["Traded"]
    assert not ring.pit.backlog() and ring.market.update_id == before + 1


# Per scenario of the FAQ: the last price, the order, prices it does not follow yet, prices it follows, what triggers.
SCENARIOS = {
    "A": (40000, "buy 1@45000 stop 44000 trail 500", (38000, 37000, 43999), (44000, 45000, 46000, 42000, 44099), 44100),
    "B": (40000, "sell 1@38000 stop 39000 trail 1000", (41500, 39500, 39001), (39000, 37000, 41000, 36901), 36900),
    "C": (40000, "buy 1@38500 profit 38000 trail 850", (42000, 38001), (38000, 37000, 39000, 38000, 40144), 40145),
    "D": (40000, "sell 1@41000 profit 42000 trail 750", (41500, 39000), (42000, 45000, 44000, 46500, 43013), 43012),
    "E": (40000, "sell 1@39000 loss trail 700", (), (42000, 39500, 45500, 42316), 42315),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_trailing_stop_follows_the_extreme_as_in_the_scenario(name: str) -> None:
    first, order, before, followed, reached = SCENARIOS[name]
    ring = Ring()
    trade_at(ring, first)
    assert ring.shout(order) == [f"#{ring.last_id} waits"]
    triggers = f"#{ring.last_id} triggers"
    for price in (*before, *followed):
        assert triggers not in trade_at(ring, price), price
    assert triggers in trade_at(ring, reached)


def test_a_trailing_stop_without_any_trade_yet_starts_at_the_first() -> None:
    ring = Ring()
    ring.shout("sell 1@market loss trail 1000")
    triggers = f"#{ring.last_id} triggers"
    assert triggers not in trade_at(ring, 50, 100, 91)
    assert triggers in trade_at(ring, 90)


def test_a_smaller_delta_triggers_first() -> None:
    ring = Ring()
    trade_at(ring, 1000)
    ids = []
    for delta in (500, 100, 300):
        ring.shout(f"sell 1@market loss trail {delta}")
        ids.append(ring.last_id)
    trade_at(ring, 1100)
    wide, narrow, middle = ids
    assert f"#{narrow} triggers" in trade_at(ring, 1080)
    assert f"#{middle} triggers" in trade_at(ring, 1060)
    assert f"#{wide} triggers" in trade_at(ring, 1040)


def test_a_new_extreme_does_not_touch_the_orders_that_follow_it() -> None:
    ring = Ring()
    trade_at(ring, 1000)
    for _ in range(50):
        ring.shout("sell 1@market loss trail 500")
    ring.pit.touched.clear()
    trade_at(ring, 1001, 1002, 1003)
    assert len({order.order_id for order in ring.pit.touched}) == 6
