"""The crowd is seeded, keeps to the filters, and its past adds up."""

import itertools
from collections import Counter
from random import Random

from outcry.agents.crowd import ACCOUNTS, MAKERS, NOISE, Crowd, Listing
from outcry.agents.drift import DAY_MS, Drift, bell, step_of
from outcry.agents.history import Past
from outcry.agents.traders import CANCEL, MAKER_LEVELS, PLACE, REPLACE, View, Wish
from outcry.market.candles import DAY, HOUR, MINUTE, merge
from outcry.market.instrument import Instrument
from outcry.market.terms import BUY, LIMIT_MAKER, MARKET, SELL

BTCUSD = Instrument(
    symbol_id=1,
    symbol="BTCUSD",
    partition=0,
    base="BTC",
    quote="USD",
    base_asset=2,
    quote_asset=1,
    tick_size=1_000_000,
    lot_size=1_000,
    min_notional=500_000_000,
)
START = 6_000_000
NOW = 1_700_000_123_456
TOUCH = View(bid=5_999_000, ask=6_001_000, last=6_000_500)


def crowd(seed: int = 1) -> Crowd:
    return Crowd([Listing(BTCUSD, START)], seed, "t", NOW)


def wishes(seed: int, count: int) -> list[Wish]:
    one, made = crowd(seed), []
    for n in range(count):
        symbol_id, account = one.turn()
        made.append(one.act(symbol_id, account, TOUCH, NOW + n * 50))
    return made


def test_the_same_seed_wishes_the_same() -> None:
    assert wishes(7, 500) == wishes(7, 500)
    assert wishes(7, 500) != wishes(8, 500)


def test_every_account_of_the_crowd_acts() -> None:
    assert {wish.account_id for wish in wishes(1, 500)} == set(ACCOUNTS)


def test_every_order_keeps_to_the_filters() -> None:
    for wish in wishes(3, 2_000):
        if wish.kind == CANCEL:
            continue
        if wish.type == MARKET:
            assert (wish.qty > 0) != (wish.quote_qty > 0)
        else:
            assert BTCUSD.min_price <= wish.price <= BTCUSD.max_price
            assert wish.price * wish.qty * BTCUSD.quote_unit >= BTCUSD.min_notional
        assert wish.iceberg_qty == 0 or wish.qty <= wish.iceberg_qty * BTCUSD.iceberg_parts


def test_client_order_ids_never_repeat() -> None:
    names = Counter(wish.client_id for wish in wishes(5, 2_000) if wish.kind != CANCEL)
    assert set(names.values()) == {1}


def test_the_opening_fills_every_quote_of_every_maker() -> None:
    one = crowd()
    made = [one.act(symbol_id, account, View(0, 0, 0), NOW) for symbol_id, account in one.opening()]
    assert {wish.kind for wish in made} == {PLACE}
    assert {wish.type for wish in made} == {LIMIT_MAKER}
    assert len(made) == len(MAKERS) * 2 * MAKER_LEVELS
    assert max(w.price for w in made if w.side == BUY) < START < min(w.price for w in made if w.side == SELL)


def test_a_maker_moves_its_stalest_quote() -> None:
    one = crowd()
    for symbol_id, account in one.opening():
        one.act(symbol_id, account, View(0, 0, 0), NOW)
    wish = one.act(1, MAKERS[0], View(0, 0, 0), NOW + 60_000)
    assert wish.kind == REPLACE
    assert wish.old_client_id


def test_a_refused_quote_is_placed_anew() -> None:
    one = crowd()
    for symbol_id, account in one.opening():
        wish = one.act(symbol_id, account, View(0, 0, 0), NOW)
    one.refused(wish)
    again = one.act(1, wish.account_id, View(0, 0, 0), NOW)
    assert (again.kind, again.side) == (PLACE, wish.side)


def test_noise_takes_back_its_oldest_order() -> None:
    one = crowd()
    made = [one.act(1, NOISE, TOUCH, NOW) for _ in range(40)]
    cancels = [wish.client_id for wish in made if wish.kind == CANCEL]
    placed = [wish.client_id for wish in made if wish.kind == PLACE]
    assert cancels == placed[: len(cancels)]
    assert len(placed) - len(cancels) <= 12


def test_an_empty_market_is_met_with_limit_orders_that_rest() -> None:
    one = crowd()
    made = [one.act(1, account, View(0, 0, 0), NOW) for account in ACCOUNTS for _ in range(20)]
    assert MARKET not in {wish.type for wish in made}


def test_the_fair_price_wanders_but_not_away() -> None:
    drift, seen = Drift(START, NOW, Random(2)), []
    for minute in range(60 * 24 * 5):
        seen.append(drift.advance(NOW + minute * 60_000))
    assert len(set(seen)) > 1_000
    assert min(seen) > START // 3 and max(seen) < START * 3


def test_time_that_goes_back_changes_no_price() -> None:
    drift = Drift(START, NOW, Random(2))
    assert drift.advance(NOW - DAY_MS) == START


def test_a_trade_elsewhere_draws_the_fair_price() -> None:
    drift = Drift(START, NOW, Random(2))
    drift.lean(START + START // 20)
    assert drift.ticks > START


def test_the_bell_is_centred_and_about_eight_wide() -> None:
    rng = Random(4)
    drawn = [bell(rng) for _ in range(4_000)]
    assert abs(sum(drawn)) < 4_000
    assert 7**2 < sum(n * n for n in drawn) / len(drawn) < 9**2


def test_the_past_adds_up() -> None:
    rows = Past(BTCUSD, Random(9)).candles(START, NOW, 72)
    by = {span: [row for row in rows if row.interval_ms == span] for span in (MINUTE, HOUR, DAY)}
    assert by[MINUTE][-1].close == START
    assert by[MINUTE][-1].open_ms + MINUTE == NOW - NOW % MINUTE
    assert by[HOUR][-len(merge(by[MINUTE], HOUR)) :] == merge(by[MINUTE], HOUR)
    assert by[DAY][-len(merge(by[HOUR], DAY)) :] == merge(by[HOUR], DAY)
    assert (len(by[HOUR]), len(by[DAY])) == (60 * 24 + NOW % DAY // HOUR + 1, 366)


def test_every_candle_of_the_past_is_sound() -> None:
    for row in Past(BTCUSD, Random(9)).candles(START, NOW, 24):
        assert BTCUSD.min_price <= row.low <= min(row.open, row.close)
        assert max(row.open, row.close) <= row.high <= BTCUSD.max_price
        assert 0 <= row.taker_buy_volume <= row.volume
        assert row.low * row.volume * BTCUSD.quote_unit <= row.amount <= row.high * row.volume * BTCUSD.quote_unit


def test_candles_of_the_past_join_without_a_jump() -> None:
    rows = [row for row in Past(BTCUSD, Random(9)).candles(START, NOW, 24) if row.interval_ms == MINUTE]
    assert all(a.close == b.open and b.open_ms - a.open_ms == MINUTE for a, b in itertools.pairwise(rows))


def test_a_walk_of_small_steps_leans_to_neither_side() -> None:
    rng = Random(3)
    walked = [step_of(5_000, 60_000, rng) for _ in range(20_000)]
    assert abs(sum(walked)) < 3 * 6 * 20_000**0.5
