"""A seeded crowd that makes a market: who acts next, where, and what they ask for."""

from collections.abc import Sequence
from random import Random
from typing import Final, NamedTuple

from outcry.agents.drift import Drift
from outcry.agents.traders import MAKER_LEVELS, Maker, Names, Noise, Taker, Trader, TrendFollower, View, Wish
from outcry.market.instrument import Instrument

MAKERS: Final = (2001, 2002)
TAKERS: Final = (2003, 2004)
TREND_FOLLOWER: Final = 2005
NOISE: Final = 2006
ACCOUNTS: Final = (*MAKERS, *TAKERS, TREND_FOLLOWER, NOISE)
# Of 100 turns, how many belong to whom.
TURNS: Final = ((MAKERS[0], 32), (MAKERS[1], 28), (TAKERS[0], 10), (TAKERS[1], 8), (TREND_FOLLOWER, 7), (NOISE, 15))


class Listing(NamedTuple):
    """A market that the crowd trades, and the price in ticks from which it starts."""

    instrument: Instrument
    start: int


class Crowd:
    """All traders in all markets. The same seed, views and times give the same wishes.

    ``tag`` makes the client order ids of this run unlike those of any other.
    """

    def __init__(self, listings: Sequence[Listing], seed: int, tag: str, now_ms: int) -> None:
        self._rng = Random(seed)
        self._symbols = [listing.instrument.symbol_id for listing in listings]
        self._drifts = {each.instrument.symbol_id: Drift(each.start, now_ms, self._rng) for each in listings}
        names = Names(tag)
        self._traders: dict[tuple[int, int], Trader] = {}
        self._makers: dict[tuple[int, int], Maker] = {}
        for listing in listings:
            self._enter(listing.instrument, names)

    def opening(self) -> list[tuple[int, int]]:
        """The turns (symbol id, account) that fill the makers' quotes, the inner ones first."""
        return [(symbol_id, maker) for _ in range(2 * MAKER_LEVELS) for symbol_id in self._symbols for maker in MAKERS]

    def turn(self) -> tuple[int, int]:
        """Who acts next: (symbol id, account)."""
        accounts, weights = zip(*TURNS, strict=True)
        return self._rng.choice(self._symbols), self._rng.choices(accounts, weights)[0]

    def act(self, symbol_id: int, account_id: int, view: View, now_ms: int) -> Wish:
        """What this account asks for, seeing ``view``."""
        drift = self._drifts[symbol_id]
        drift.lean(view.last)
        return self._traders[symbol_id, account_id].act(view, drift.advance(now_ms))

    def refused(self, wish: Wish) -> None:
        """The exchange did not take the order of a wish."""
        maker = self._makers.get((wish.symbol_id, wish.account_id))
        if maker is not None:
            maker.refused(wish.client_id)

    def _enter(self, instrument: Instrument, names: Names) -> None:
        rng, symbol_id = self._rng, instrument.symbol_id
        for account_id in MAKERS:
            maker = Maker(instrument, account_id, names, rng)
            self._traders[symbol_id, account_id] = self._makers[symbol_id, account_id] = maker
        for account_id in TAKERS:
            self._traders[symbol_id, account_id] = Taker(instrument, account_id, names, rng)
        self._traders[symbol_id, TREND_FOLLOWER] = TrendFollower(instrument, TREND_FOLLOWER, names, rng)
        self._traders[symbol_id, NOISE] = Noise(instrument, NOISE, names, rng)
