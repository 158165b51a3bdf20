"""The ladder finds prices in order however they come; a depth view that follows a market shows its book."""

from hypothesis import given
from hypothesis import strategies as st

from outcry.market.depth import DepthView
from outcry.market.ladder import NONE, RUNGS, Ladder
from tests.support.ring import Ring

rungs = st.one_of(
    st.integers(0, RUNGS - 1),
    st.integers(0, 5_000),
    st.integers(RUNGS - 5_000, RUNGS - 1),
    st.sampled_from((0, RUNGS - 1)),
)


@given(st.lists(rungs, unique=True), st.sets(st.integers(0, 30)))
def test_a_ladder_lists_its_rungs_from_the_highest_down(taken: list[int], freed: set[int]) -> None:
    ladder = Ladder()
    for rung in taken:
        ladder.insert(rung)
    left = []
    for at, rung in enumerate(taken):
        if at in freed:
            ladder.remove(rung)
        else:
            left.append(rung)
    found = []
    rung = ladder.highest()
    while rung != NONE:
        found.append(rung)
        rung = ladder.below(rung)
    assert found == sorted(left, reverse=True)


def test_below_starts_anywhere() -> None:
    ladder = Ladder()
    for rung in (3, 1 << 22, 1 << 32):
        ladder.insert(rung)
    assert [ladder.below(at) for at in (3, 4, 1 << 22, RUNGS - 1)] == [NONE, 3, 3, 1 << 32]


levels = st.lists(st.tuples(st.sampled_from((1, -1)), st.integers(1, 50), st.integers(0, 3)), max_size=60)


@given(levels, st.integers(0, 60))
def test_a_depth_view_shows_the_last_word_on_every_level(changes: list[tuple[int, int, int]], depth: int) -> None:
    view = DepthView()
    view.apply(changes, 7)
    last = {(side, price): lots for side, price, lots in changes}
    bids = sorted(((p, q) for (s, p), q in last.items() if s == 1 and q), reverse=True)
    asks = sorted((p, q) for (s, p), q in last.items() if s == -1 and q)
    assert view.top(depth) == (tuple(bids[:depth]), tuple(asks[:depth]))
    assert view.update_id == 7


def test_a_view_can_start_again() -> None:
    view = DepthView()
    view.apply([(1, 10, 5), (-1, 12, 5)], 1)
    view.replace([(1, 9, 1)], 8)
    assert (view.top(5), view.update_id) == ((((9, 1),), ()), 8)


def test_a_view_that_follows_a_market_has_its_book() -> None:
    ring, view = Ring(), DepthView()
    for command in ("buy 5@99", "buy 2@98", "sell 4@101 peak 1", "sell 3@99", "cancel #2", "buy 2@101", "sell 9@97"):
        ring.shout(command)
        view.apply(ring.market.take_levels(), ring.market.update_id)
        bids, asks = view.top(10)
        assert [(1, *bid) for bid in bids] + [(-1, *ask) for ask in asks] == ring.market.levels()
