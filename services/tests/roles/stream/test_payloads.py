"""Public payloads field for field as the examples of web-socket-streams.md name them."""

from outcry.market.candles import Bar
from outcry.market.terms import BUY, SELL
from outcry.ports import MarketUpdate
from outcry.roles.stream import payloads
from outcry.roles.stream.changes import Changes
from tests.support.prints import BTCUSD, trade


def update(first_u: int, last_u: int, *levels: tuple[int, int, int]) -> MarketUpdate:
    return MarketUpdate(
        symbol_id=1, part=0, epoch=1, first_seq=first_u, last_seq=last_u, first_u=first_u, last_u=last_u, time_ms=1000,
        levels=levels,
    )  # fmt: skip


def test_a_trade_has_its_fields() -> None:
    assert payloads.trade(BTCUSD, 1_000, trade(7, 12_345, 3, side=SELL, time_ms=998)) == {
        "e": "trade", "E": 1000, "s": "BTCUSD", "t": 7, "p": "123.45000000", "q": "0.00003000", "T": 998, "m": True,
        "M": True,
    }  # fmt: skip


def test_trades_of_one_taker_order_at_one_price_are_one_aggregate() -> None:
    groups = payloads.aggregates([trade(1, agg=4, time_ms=7), trade(2, agg=4, time_ms=7), trade(3, agg=5)])
    assert [[each.trade_id for each in group] for group in groups] == [[1, 2], [3]]
    told = payloads.aggregate(BTCUSD, 9, groups[0])
    assert (told["a"], told["f"], told["l"], told["q"], told["m"]) == (4, 1, 2, "0.00010000", False)
    assert (told["E"], told["T"]) == (9, 7)


def test_merged_changes_keep_the_last_quantity_and_span_all_updates() -> None:
    window = Changes()
    window.add(update(5, 6, (BUY, 100, 7), (SELL, 110, 1)))
    window.add(update(7, 9, (BUY, 100, 0), (BUY, 101, 2)))
    assert payloads.depth_update(BTCUSD, window) == {
        "e": "depthUpdate", "E": 1000, "s": "BTCUSD", "U": 5, "u": 9,
        "b": [("1.01000000", "0.00002000"), ("1.00000000", "0.00000000")], "a": [("1.10000000", "0.00001000")],
    }  # fmt: skip


def test_a_book_ticker_has_no_event_type_and_an_empty_side_is_zero() -> None:
    assert payloads.book_ticker(BTCUSD, 3, (100, 2), (0, 0)) == {
        "u": 3, "s": "BTCUSD", "b": "1.00000000", "B": "0.00002000", "a": "0.00000000", "A": "0.00000000",
    }  # fmt: skip


def test_a_partial_depth_has_no_event_type() -> None:
    told = payloads.partial_depth(BTCUSD, 8, ((100, 2),), ((110, 1),))
    assert told == {"lastUpdateId": 8, "bids": [("1.00000000", "0.00002000")], "asks": [("1.10000000", "0.00001000")]}


def test_a_window_ticker_has_its_fields() -> None:
    bar = Bar(60_000, 100)
    for number, price in enumerate((100, 150, 90, 110), 1):
        bar.add(trade(number, price, 10))
    assert payloads.window_ticker(BTCUSD, 120_000, "1h", bar) == {
        "e": "1hTicker", "E": 120_000, "s": "BTCUSD", "p": "0.10000000", "P": "10.000", "o": "1.00000000",
        "h": "1.50000000", "l": "0.90000000", "c": "1.10000000", "w": "1.12500000", "v": "0.00040000",
        "q": "0.00045000", "O": 60_000, "C": 120_000, "F": 1, "L": 4, "n": 4,
    }  # fmt: skip


def test_microseconds_reach_every_time_of_a_payload() -> None:
    kline = payloads.kline(BTCUSD, 5_000, "1m", Bar(0, 1), close_ms=59_999, closed=False)
    micro = payloads.in_microseconds(kline)
    assert (micro["E"], micro["k"]["t"], micro["k"]["T"]) == (5_000_000, 0, 59_999_999)
    assert payloads.in_microseconds([payloads.shutdown(7)]) == [{"e": "serverShutdown", "E": 7000}]
    told = payloads.in_microseconds(payloads.trade(BTCUSD, 3, trade(1, time_ms=2)))
    assert (told["E"], told["T"], told["t"]) == (3000, 2000, 1)
    book = payloads.book_ticker(BTCUSD, 3, (1, 1), (2, 2))
    assert payloads.in_microseconds(book) == book
