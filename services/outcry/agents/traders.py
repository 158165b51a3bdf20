"""Four ways to trade: makers quote, takers take, trend followers chase, noise does a bit of everything."""

from collections import deque
from random import Random
from typing import Final, NamedTuple, Protocol

from outcry.market.instrument import Instrument
from outcry.market.terms import (
    BUY,
    FOK,
    GTC,
    IOC,
    LIMIT,
    LIMIT_MAKER,
    MARKET,
    MINOR_UNITS,
    PPM,
    SELL,
    STOP_LOSS_LIMIT,
    TAKE_PROFIT_LIMIT,
)

PLACE: Final = "place"
REPLACE: Final = "replace"
CANCEL: Final = "cancel"

MAKER_LEVELS: Final = 8  # quotes per side and maker
HALF_SPREAD_PPM: Final = 120
LEVEL_GAP_PPM: Final = 160
STALE_PPM: Final = 80  # a quote this far from where it belongs is moved
NOISE_ORDERS: Final = 12  # resting orders of noise per symbol; the oldest makes way
NOISE_REACH_PPM: Final = 6_000
TREND_PPM: Final = 250  # the fast average beyond the slow one by this much is a trend
SIZES: Final = (1, 1, 1, 2, 2, 3, 5, 8)  # small orders are common, large ones rare


class View(NamedTuple):
    """What a trader sees of a market, in ticks; 0 where there is nothing."""

    bid: int
    ask: int
    last: int


class Wish(NamedTuple):
    """One request a trader would send: prices in ticks, ``qty`` in lots, ``quote_qty`` in minor units."""

    kind: str
    symbol_id: int
    account_id: int
    client_id: str
    side: int = 0
    type: int = LIMIT
    tif: int = GTC
    price: int = 0
    qty: int = 0
    quote_qty: int = 0
    stop_price: int = 0
    iceberg_qty: int = 0
    old_client_id: str = ""  # the order that makes way (REPLACE)


class Trader(Protocol):
    """Decides what one account does next in one market."""

    def act(self, view: View, fair: int) -> Wish: ...


class Names:
    """Client order ids that do not repeat: a tag of this run, the account, a running number."""

    def __init__(self, tag: str) -> None:
        self._tag = tag
        self._last = 0

    def next(self, account_id: int) -> str:
        self._last += 1
        return f"{self._tag}-{account_id}-{self._last}"


def lots_for(instrument: Instrument, money: int, price: int) -> int:
    """Whole lots that ``money`` quote minor units buy at ``price`` ticks, at least what the filters ask for."""
    cost = price * instrument.quote_unit
    least = max(instrument.min_qty, -(-instrument.min_notional // cost))
    return min(max(money // cost, least + least // 4 + 1), instrument.max_qty)


class Maker:
    """Keeps quotes on both sides of the fair price and moves the one that is furthest from where it belongs."""

    def __init__(self, instrument: Instrument, account_id: int, names: Names, rng: Random) -> None:
        self._instrument, self._account_id, self._names, self._rng = instrument, account_id, names, rng
        self._quotes: dict[tuple[int, int], tuple[int, str]] = {}  # (side, level) -> (price, client id)
        self._slots = [(side, level) for level in range(MAKER_LEVELS) for side in (BUY, SELL)]

    def act(self, view: View, fair: int) -> Wish:
        """Fills an empty place from the inside out, else moves the stalest quote, else changes a size."""
        worst, distance = self._slots[0], -1
        for slot in self._slots:
            quote = self._quotes.get(slot)
            if quote is None:
                return self._quote(slot, view, fair)
            off = abs(quote[0] - self._target(slot, fair))
            if off > distance:
                worst, distance = slot, off
        if distance * PPM < fair * STALE_PPM:
            worst = self._rng.choice(self._slots)
        return self._quote(worst, view, fair)

    def refused(self, client_id: str) -> None:
        """The market did not take this quote: its place is empty."""
        for slot, (_, name) in list(self._quotes.items()):
            if name == client_id:
                del self._quotes[slot]

    def _target(self, slot: tuple[int, int], fair: int) -> int:
        side, level = slot
        away = max(fair * (HALF_SPREAD_PPM + level * LEVEL_GAP_PPM) // PPM, level + 1)
        return max(fair - side * away, self._instrument.min_price)

    def _quote(self, slot: tuple[int, int], view: View, fair: int) -> Wish:
        old = self._quotes.get(slot, (0, ""))[1]
        jitter = max(fair * LEVEL_GAP_PPM // (4 * PPM), 1)
        price = self._target(slot, fair) - slot[0] * self._rng.randrange(jitter)
        if slot[0] == BUY and view.ask:
            price = min(price, view.ask - 1)  # a maker never takes
        elif slot[0] == SELL:
            price = max(price, view.bid + 1)
        price = max(price, self._instrument.min_price)
        money = self._rng.choice(SIZES) * (slot[1] + 2) * self._rng.randint(300, 700) * MINOR_UNITS
        name = self._names.next(self._account_id)
        self._quotes[slot] = (price, name)
        return Wish(
            REPLACE if old else PLACE,
            self._instrument.symbol_id,
            self._account_id,
            name,
            side=slot[0],
            type=LIMIT_MAKER,
            price=price,
            qty=lots_for(self._instrument, money, price),
            old_client_id=old,
        )


class Taker:
    """Takes what is offered, more often on the side that brings the price to where it belongs."""

    def __init__(self, instrument: Instrument, account_id: int, names: Names, rng: Random) -> None:
        self._instrument, self._account_id, self._names, self._rng = instrument, account_id, names, rng

    def act(self, view: View, fair: int) -> Wish:
        """A market order by quantity or by money, or a limit order that takes the touch or nothing."""
        middle = (view.bid + view.ask) // 2 if view.bid and view.ask else fair
        cheap = 70 if fair > middle else 30 if fair < middle else 50
        side = BUY if self._rng.randrange(100) < cheap else SELL
        return self.take(side, view, fair, self._rng.choice(SIZES) * self._rng.randint(60, 900) * MINOR_UNITS)

    def take(self, side: int, view: View, fair: int, money: int) -> Wish:
        """One order that wants to trade at once."""
        name, touch = self._names.next(self._account_id), view.ask if side == BUY else view.bid
        qty = lots_for(self._instrument, money, touch or fair)
        wish = Wish(PLACE, self._instrument.symbol_id, self._account_id, name, side=side, type=MARKET, qty=qty)
        way = self._rng.randrange(10)
        if way < 4 and touch:
            return wish._replace(type=LIMIT, tif=IOC if way else FOK, price=touch)
        if not view.last:
            return wish._replace(type=LIMIT, tif=IOC, price=touch or fair)
        if way < 7 and side == BUY:
            return wish._replace(qty=0, quote_qty=max(money, 2 * self._instrument.min_notional))
        return wish


class TrendFollower:
    """Buys what rises and sells what falls, judged by two moving averages of the last price."""

    def __init__(self, instrument: Instrument, account_id: int, names: Names, rng: Random) -> None:
        self._taker = Taker(instrument, account_id, names, rng)
        self._rng = rng
        self._fast = self._slow = 0  # 1/256 ticks

    def act(self, view: View, fair: int) -> Wish:
        """Trades with the trend; without one it takes a small position either way."""
        seen = (view.last or fair) << 8
        self._fast += (seen - self._fast) // 4 if self._fast else seen
        self._slow += (seen - self._slow) // 32 if self._slow else seen
        gap = self._fast - self._slow
        money = self._rng.randint(100, 400) * MINOR_UNITS
        if abs(gap) * PPM < self._slow * TREND_PPM:
            return self._taker.take(self._rng.choice((BUY, SELL)), view, fair, money)
        return self._taker.take(BUY if gap > 0 else SELL, view, fair, money * self._rng.choice(SIZES))


class Noise:
    """Rests small orders anywhere near the price, of every kind, and takes the oldest back."""

    def __init__(self, instrument: Instrument, account_id: int, names: Names, rng: Random) -> None:
        self._instrument, self._account_id, self._names, self._rng = instrument, account_id, names, rng
        self._resting: deque[str] = deque()

    def act(self, view: View, fair: int) -> Wish:
        """One more resting order, or one less."""
        if len(self._resting) >= NOISE_ORDERS:
            return Wish(CANCEL, self._instrument.symbol_id, self._account_id, self._resting.popleft())
        name, side = self._names.next(self._account_id), self._rng.choice((BUY, SELL))
        self._resting.append(name)
        middle = (view.bid + view.ask) // 2 if view.bid and view.ask else fair
        away = max(middle * self._rng.randint(0, NOISE_REACH_PPM) // PPM, 1)
        price = max(middle - side * away, self._instrument.min_price)
        money = self._rng.choice(SIZES) * self._rng.randint(40, 200) * MINOR_UNITS
        wish = Wish(
            PLACE,
            self._instrument.symbol_id,
            self._account_id,
            name,
            side=side,
            price=price,
            qty=lots_for(self._instrument, money, price),
        )
        return self._variety(wish, middle, away)

    def _variety(self, wish: Wish, middle: int, away: int) -> Wish:
        way = self._rng.randrange(12)
        beyond = max(middle + wish.side * (away + middle * TREND_PPM // PPM), self._instrument.min_price)
        if way == 0:  # in the direction of a breakout
            return wish._replace(type=STOP_LOSS_LIMIT, stop_price=beyond, price=beyond)
        if way == 1 and wish.price != middle:  # at a better price than now
            return wish._replace(type=TAKE_PROFIT_LIMIT, stop_price=wish.price)
        if way == 2 and wish.qty >= 10:
            return wish._replace(iceberg_qty=max(wish.qty // 5, 1))
        return wish
