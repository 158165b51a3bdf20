"""Public market data in Binance's shapes."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from outcry.market.candles import DAY, HOUR, MINUTE
from outcry.market.instrument import HALTED
from outcry.market.terms import BUY, SELL
from outcry.roles.api import tickerstats
from outcry.roles.api.intervals import WINDOWS
from tests.support.gated import listed
from tests.support.reads import Reads, reading

OVERLOADED = 503


@pytest.fixture
async def reads(tmp_path: Path) -> AsyncIterator[Reads]:
    async with reading(tmp_path) as running:
        yield running


async def test_ping_is_an_empty_object_and_time_is_the_servers(reads: Reads) -> None:
    assert await reads.get("/api/v3/ping") == {}
    assert await reads.get("/api/v3/time") == {"serverTime": reads.now_ms}


async def test_depth_is_best_first_and_as_deep_as_asked(reads: Reads) -> None:
    await reads.show((BUY, 99, 2), (BUY, 98, 3), (SELL, 101, 4), (SELL, 105, 1), update_id=77)
    assert await reads.get("/api/v3/depth", symbol="BTCUSD") == {
        "lastUpdateId": 77,
        "bids": [["0.99000000", "0.00002000"], ["0.98000000", "0.00003000"]],
        "asks": [["1.01000000", "0.00004000"], ["1.05000000", "0.00001000"]],
    }
    top = await reads.get("/api/v3/depth", symbol="BTCUSD", limit=1)
    assert (len(top["bids"]), len(top["asks"])) == (1, 1)


async def test_depth_before_the_engine_opened_the_book_is_overload(reads: Reads) -> None:
    answer = await reads.http.get("/api/v3/depth", params={"symbol": "BTCUSD"})
    assert (answer.status_code, answer.json()["code"]) == (OVERLOADED, -1008)


@pytest.mark.parametrize(("limit", "weight"), [(100, 5), (101, 25), (500, 25), (501, 50), (1001, 250), (9999, 250)])
async def test_depth_weighs_by_its_limit(reads: Reads, limit: int, weight: int) -> None:
    await reads.show((BUY, 99, 2))
    answer = await reads.http.get("/api/v3/depth", params={"symbol": "BTCUSD", "limit": limit})
    assert answer.headers["x-mbx-used-weight-1m"] == str(weight)


async def test_trades_are_the_newest_oldest_first(reads: Reads) -> None:
    for n in range(5):
        await reads.print(reads.now_ms - 10 + n, 6_000_000 + n, 3, taker_side=SELL if n == 4 else BUY)
    rows = await reads.get("/api/v3/trades", symbol="BTCUSD", limit=2)
    assert [row["id"] for row in rows] == [4, 5]
    assert rows[1] == {
        "id": 5, "price": "60000.04000000", "qty": "0.00003000", "quoteQty": "1.80000120", "time": reads.now_ms - 6,
        "isBuyerMaker": True, "isBestMatch": True,
    }  # fmt: skip
    assert rows[0]["isBuyerMaker"] is False


async def test_historical_trades_page_by_id(reads: Reads) -> None:
    for n in range(5):
        await reads.print(reads.now_ms - 10 + n, 100)
    page = await reads.get("/api/v3/historicalTrades", symbol="BTCUSD", fromId=2, limit=2)
    assert [row["id"] for row in page] == [2, 3]
    newest = await reads.get("/api/v3/historicalTrades", symbol="BTCUSD", limit=2)
    assert [row["id"] for row in newest] == [4, 5]
    everything = await reads.get("/api/v3/historicalTrades", symbol="BTCUSD", fromId=0)
    assert [row["id"] for row in everything] == [1, 2, 3, 4, 5]


async def test_aggregates_sum_one_takers_trades_at_one_price(reads: Reads) -> None:
    await reads.print(reads.now_ms - 9, 100, 1, agg_id=1)
    await reads.print(reads.now_ms - 9, 100, 2, agg_id=1)
    await reads.print(reads.now_ms - 5, 101, 4, agg_id=2, taker_side=SELL)
    rows = await reads.get("/api/v3/aggTrades", symbol="BTCUSD")
    assert rows == [
        {"a": 1, "p": "1.00000000", "q": "0.00003000", "f": 1, "l": 2, "T": reads.now_ms - 9, "m": False, "M": True},
        {"a": 2, "p": "1.01000000", "q": "0.00004000", "f": 3, "l": 3, "T": reads.now_ms - 5, "m": True, "M": True},
    ]
    assert await reads.get("/api/v3/aggTrades", symbol="BTCUSD", fromId=2) == rows[1:]
    assert await reads.get("/api/v3/aggTrades", symbol="BTCUSD", startTime=reads.now_ms - 5) == rows[1:]
    assert await reads.get("/api/v3/aggTrades", symbol="BTCUSD", endTime=reads.now_ms - 6) == rows[:1]


async def test_an_aggregates_id_and_a_time_do_not_go_together(reads: Reads) -> None:
    code, _ = await reads.refused("/api/v3/aggTrades", symbol="BTCUSD", fromId=1, startTime=1)
    assert code == -1128


async def test_the_average_price_is_by_volume_over_five_minutes(reads: Reads) -> None:
    await reads.print(reads.now_ms - 20 * MINUTE, 900, 50)
    await reads.print(reads.now_ms - 2 * MINUTE, 100, 3)
    last = await reads.print(reads.now_ms - MINUTE, 200, 1)
    answer = await reads.get("/api/v3/avgPrice", symbol="BTCUSD")
    assert answer == {"mins": 5, "price": "1.25000000", "closeTime": last.time_ms}


async def test_without_trades_in_five_minutes_the_average_is_the_last_price(reads: Reads) -> None:
    last = await reads.print(reads.now_ms - HOUR, 900, 50)
    answer = await reads.get("/api/v3/avgPrice", symbol="BTCUSD")
    assert answer == {"mins": 5, "price": "9.00000000", "closeTime": last.time_ms}


async def test_the_day_ticker_has_every_field(reads: Reads) -> None:
    await reads.print(reads.now_ms - DAY - HOUR, 50, 7)
    await reads.print(reads.now_ms - 5 * HOUR, 100, 3)
    await reads.print(reads.now_ms - 4 * HOUR, 80, 1)
    last = await reads.print(reads.now_ms - 100, 125, 4, taker_side=SELL)
    await reads.show((BUY, 120, 2), (SELL, 130, 6))
    assert await reads.get("/api/v3/ticker/24hr", symbol="BTCUSD") == {
        "symbol": "BTCUSD",
        "priceChange": "0.25000000",
        "priceChangePercent": "25.000",
        "weightedAvgPrice": "1.10000000",
        "prevClosePrice": "0.50000000",
        "lastPrice": "1.25000000",
        "lastQty": "0.00004000",
        "bidPrice": "1.20000000",
        "bidQty": "0.00002000",
        "askPrice": "1.30000000",
        "askQty": "0.00006000",
        "openPrice": "1.00000000",
        "highPrice": "1.25000000",
        "lowPrice": "0.80000000",
        "volume": "0.00008000",
        "quoteVolume": "0.00008800",
        "openTime": reads.now_ms - DAY,
        "closeTime": reads.now_ms,
        "firstId": 2,
        "lastId": last.trade_id,
        "count": 3,
    }


async def test_tickers_of_a_silent_market_are_flat_or_zero(reads: Reads) -> None:
    await reads.print(reads.now_ms - 2 * DAY, 300)
    quiet = await reads.get("/api/v3/ticker/24hr", symbol="BTCUSD")
    assert {quiet[name] for name in ("openPrice", "highPrice", "lowPrice", "lastPrice")} == {"3.00000000"}
    assert (quiet["count"], quiet["firstId"], quiet["priceChangePercent"], quiet["bidPrice"]) == (
        0, -1, "0.000", "0.00000000",
    )  # fmt: skip
    unborn = await reads.get("/api/v3/ticker/24hr", symbol="ETHUSD")
    assert {unborn[name] for name in ("openPrice", "lastPrice", "volume")} == {"0.00000000"}


async def test_a_ticker_answers_one_symbol_with_an_object_and_others_with_an_array(reads: Reads) -> None:
    for path in ("24hr", "price", "bookTicker"):
        one = await reads.get(f"/api/v3/ticker/{path}", symbol="ETHUSD")
        assert one["symbol"] == "ETHUSD"
        some = await reads.get(f"/api/v3/ticker/{path}", symbols='["ETHUSD"]')
        assert some == [one]
        assert [row["symbol"] for row in await reads.get(f"/api/v3/ticker/{path}")] == ["BTCUSD", "ETHUSD"]


async def test_symbol_and_symbols_exclude_each_other(reads: Reads) -> None:
    code, _ = await reads.refused("/api/v3/ticker/price", symbol="BTCUSD", symbols='["ETHUSD"]')
    assert code == -1128


async def test_a_mini_ticker_leaves_out_what_it_need_not_say(reads: Reads) -> None:
    full = await reads.get("/api/v3/ticker/24hr", symbol="BTCUSD")
    mini = await reads.get("/api/v3/ticker/24hr", symbol="BTCUSD", type="MINI")
    assert set(full) - set(mini) == {
        "priceChange", "priceChangePercent", "weightedAvgPrice", "prevClosePrice", "lastQty", "bidPrice", "bidQty",
        "askPrice", "askQty",
    }  # fmt: skip
    assert set(mini) < set(full)


async def test_the_price_is_the_last_trades_at_once(reads: Reads) -> None:
    await reads.print(reads.now_ms, 100)
    assert await reads.get("/api/v3/ticker/price", symbol="BTCUSD") == {"symbol": "BTCUSD", "price": "1.00000000"}
    await reads.print(reads.now_ms, 101)
    assert await reads.get("/api/v3/ticker/price", symbol="BTCUSD") == {"symbol": "BTCUSD", "price": "1.01000000"}


async def test_before_the_first_trade_the_price_is_the_last_candles(reads: Reads) -> None:
    await reads.print(reads.now_ms - HOUR, 100)
    reads.front.venue.last_prices.clear()
    assert (await reads.get("/api/v3/ticker/price", symbol="BTCUSD"))["price"] == "1.00000000"


async def test_a_rolling_window_opens_on_the_minute(reads: Reads) -> None:
    minute = reads.now_ms // MINUTE * MINUTE
    await reads.print(minute - 3 * MINUTE - 1, 50)
    await reads.print(minute - 3 * MINUTE, 100)
    await reads.print(minute - MINUTE, 110)
    answer = await reads.get("/api/v3/ticker", symbol="BTCUSD", windowSize="3m")
    assert (answer["openTime"], answer["closeTime"]) == (minute - 3 * MINUTE, reads.now_ms)
    assert (answer["openPrice"], answer["lastPrice"], answer["count"]) == ("1.00000000", "1.10000000", 2)
    assert "bidPrice" not in answer


@pytest.mark.parametrize("window", ["1m", "59m", "1h", "2h", "23h", "1d", "7d"])
async def test_a_window_sums_exactly_what_lies_in_it(reads: Reads, window: str) -> None:
    opened = (reads.now_ms - WINDOWS[window]) // MINUTE * MINUTE
    times = sorted({opened - 1, opened, opened + 30 * MINUTE, opened + WINDOWS[window] // 2, reads.now_ms})
    inside = [time_ms for time_ms in times if opened <= time_ms <= reads.now_ms]
    for time_ms in times:
        if time_ms <= reads.now_ms:
            await reads.print(time_ms, 100)
    assert (await reads.get("/api/v3/ticker", symbol="BTCUSD", windowSize=window))["count"] == len(inside)


@pytest.mark.parametrize("window", ["0m", "60m", "24h", "8d", "1d2h", "", "1"])
async def test_a_window_that_is_none_is_refused(reads: Reads, window: str) -> None:
    code, _ = await reads.refused("/api/v3/ticker", symbol="BTCUSD", windowSize=window)
    assert code in (-1130, -1105)


async def test_the_trading_day_is_that_of_the_time_zone(reads: Reads) -> None:
    day = reads.now_ms // DAY * DAY
    await reads.print(day - 1, 100)
    await reads.print(day, 200)
    answer = await reads.get("/api/v3/ticker/tradingDay", symbol="BTCUSD")
    assert (answer["openTime"], answer["closeTime"], answer["count"]) == (day, day + DAY - 1, 1)
    there = await reads.get("/api/v3/ticker/tradingDay", symbol="BTCUSD", timeZone="8:00")
    assert (there["openTime"], there["count"]) == (day - 8 * HOUR, 2)


@pytest.mark.parametrize("path", ["/api/v3/ticker", "/api/v3/ticker/tradingDay"])
async def test_window_tickers_need_symbols(reads: Reads, path: str) -> None:
    assert await reads.refused(path) == (
        -1102, "Param 'symbol' or 'symbols' must be sent, but both were empty/null!",
    )  # fmt: skip
    assert [row["symbol"] for row in await reads.get(path, symbols='["ETHUSD","BTCUSD"]')] == ["ETHUSD", "BTCUSD"]


async def test_statistics_are_at_most_half_a_second_old(reads: Reads) -> None:
    await reads.print(reads.now_ms, 100)
    assert (await reads.get("/api/v3/ticker/24hr", symbol="BTCUSD"))["count"] == 1
    await reads.print(reads.now_ms, 100)
    assert (await reads.get("/api/v3/ticker/24hr", symbol="BTCUSD"))["count"] == 1
    reads.front.clock.us += tickerstats.MAX_AGE_MS * 1000
    assert (await reads.get("/api/v3/ticker/24hr", symbol="BTCUSD"))["count"] == 2


async def test_kept_statistics_are_bounded(reads: Reads, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tickerstats, "MAX_KEPT", 2)
    for window in ("1m", "2m", "3m", "4m"):
        await reads.get("/api/v3/ticker", symbol="BTCUSD", windowSize=window)
    assert len(reads.front.venue.statistics._kept) == 2


async def test_a_wanted_status_chooses_symbols(reads: Reads) -> None:
    halted = listed(2, "ETHUSD").__class__(**{**_terms(listed(2, "ETHUSD")), "status": HALTED})
    reads.front.venue.use([listed(1, "BTCUSD"), halted])
    assert [row["symbol"] for row in await reads.get("/api/v3/ticker/price", symbolStatus="HALT")] == ["ETHUSD"]
    assert await reads.get("/api/v3/ticker/price", symbolStatus="BREAK") == []
    code, _ = await reads.refused("/api/v3/ticker/price", symbol="BTCUSD", symbolStatus="HALT")
    assert code == -1220
    assert (await reads.refused("/api/v3/ticker/price", symbolStatus="OPEN"))[0] == -1122
    listing = (await reads.get("/api/v3/exchangeInfo", symbolStatus="HALT"))["symbols"]
    assert [(each["symbol"], each["status"]) for each in listing] == [("ETHUSD", "HALT")]


async def test_symbols_of_a_halted_partition_are_in_a_break(reads: Reads) -> None:
    reads.front.venue.use([listed(1, "BTCUSD"), msgspec.structs.replace(listed(2, "ETHUSD"), partition=3)])
    reads.front.venue.halted = {3: "a person must decide"}
    listing = (await reads.get("/api/v3/exchangeInfo"))["symbols"]
    assert [(each["symbol"], each["status"]) for each in listing] == [("BTCUSD", "TRADING"), ("ETHUSD", "BREAK")]
    assert [row["symbol"] for row in await reads.get("/api/v3/ticker/price", symbolStatus="BREAK")] == ["ETHUSD"]
    native = (await reads.get("/v1/symbols"))["data"]
    assert [each["status"] for each in native] == ["TRADING", "BREAK"]


SYMBOL_FIELDS = {
    "symbol", "status", "baseAsset", "baseAssetPrecision", "quoteAsset", "quotePrecision", "quoteAssetPrecision",
    "baseCommissionPrecision", "quoteCommissionPrecision", "orderTypes", "icebergAllowed", "ocoAllowed", "otoAllowed",
    "opoAllowed", "quoteOrderQtyMarketAllowed", "allowTrailingStop", "cancelReplaceAllowed", "amendAllowed",
    "pegInstructionsAllowed", "isSpotTradingAllowed", "isMarginTradingAllowed", "filters", "permissions",
    "permissionSets", "defaultSelfTradePreventionMode", "allowedSelfTradePreventionModes",
}  # fmt: skip
BINANCE_FILTERS = {
    "PRICE_FILTER", "PERCENT_PRICE", "PERCENT_PRICE_BY_SIDE", "LOT_SIZE", "MIN_NOTIONAL", "NOTIONAL", "ICEBERG_PARTS",
    "MARKET_LOT_SIZE", "MAX_NUM_ORDERS", "MAX_NUM_ALGO_ORDERS", "MAX_NUM_ICEBERG_ORDERS", "MAX_POSITION",
    "TRAILING_DELTA", "MAX_NUM_ORDER_AMENDS", "MAX_NUM_ORDER_LISTS",
}  # fmt: skip


async def test_exchange_info_has_every_field_that_clients_read(reads: Reads) -> None:
    answer = await reads.get("/api/v3/exchangeInfo")
    assert set(answer) == {"timezone", "serverTime", "rateLimits", "exchangeFilters", "symbols"}
    for symbol in answer["symbols"]:
        assert set(symbol) == SYMBOL_FIELDS
        assert symbol["filters"][0]["filterType"] == "PRICE_FILTER"
        assert {each["filterType"] for each in symbol["filters"]} <= BINANCE_FILTERS
        assert symbol["permissionSets"] == [["SPOT"]]
    assert answer["symbols"][0]["filters"][0]["tickSize"] == "0.01000000"
    assert answer["symbols"][0]["filters"][1]["stepSize"] == "0.00001000"


async def test_exchange_info_names_symbols_and_permissions(reads: Reads) -> None:
    async def named(**params: Any) -> list[str]:
        return [each["symbol"] for each in (await reads.get("/api/v3/exchangeInfo", **params))["symbols"]]

    assert await named(symbol="ETHUSD") == ["ETHUSD"]
    assert await named(symbols='["ETHUSD","BTCUSD"]') == ["ETHUSD", "BTCUSD"]
    assert await named(permissions="SPOT") == ["BTCUSD", "ETHUSD"]
    assert await named(permissions='["MARGIN","SPOT"]') == ["BTCUSD", "ETHUSD"]
    assert await named(permissions='["MARGIN","LEVERAGED"]') == []
    hidden = await reads.get("/api/v3/exchangeInfo", showPermissionSets="false")
    assert hidden["symbols"][0]["permissionSets"] == []


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"symbol": "NOSUCH"}, -1121),
        ({"symbols": '["BTCUSD","NOSUCH"]'}, -1121),
        ({"symbols": "BTCUSD"}, -1100),
        ({"symbol": "BTCUSD", "permissions": "SPOT"}, -1128),
        ({"symbols": '["BTCUSD"]', "symbolStatus": "TRADING"}, -1128),
        ({"permissions": "[1]"}, -1130),
        ({"permissions": '{"a":1}'}, -1130),
        ({"showPermissionSets": "maybe"}, -1130),
    ],
)
async def test_exchange_info_refuses(reads: Reads, params: dict[str, str], code: int) -> None:
    assert (await reads.refused("/api/v3/exchangeInfo", **params))[0] == code


async def test_rules_that_no_symbol_has_are_told_so(reads: Reads) -> None:
    assert await reads.get("/api/v3/executionRules") == {"symbolRules": []}
    assert (await reads.refused("/api/v3/executionRules", symbol="BTCUSD", symbolStatus="TRADING"))[0] == -1128
    assert await reads.get("/api/v3/historicalBlockTrades", symbol="BTCUSD", fromId=1) == []
    for path in ("/api/v3/referencePrice", "/api/v3/referencePrice/calculation"):
        assert await reads.refused(path, symbol="BTCUSD") == (-2043, "This symbol doesn't have a reference price.")


@pytest.mark.parametrize("path", ["depth", "trades", "historicalTrades", "aggTrades", "avgPrice"])
async def test_an_unlisted_symbol_is_refused(reads: Reads, path: str) -> None:
    assert await reads.refused(f"/api/v3/{path}", symbol="NOSUCH") == (-1121, "Invalid symbol.")


@pytest.mark.parametrize("limit", ["0", "-1", "x", "1e3", "٣"])
async def test_a_limit_that_is_none_is_refused(reads: Reads, limit: str) -> None:
    assert (await reads.refused("/api/v3/trades", symbol="BTCUSD", limit=limit))[0] in (-1100, -1130)


async def test_the_largest_numbers_find_nothing_and_break_nothing(reads: Reads) -> None:
    await reads.print(reads.now_ms, 100)
    huge = str((1 << 63) - 1)
    assert await reads.get("/api/v3/historicalTrades", symbol="BTCUSD", fromId=huge) == []
    assert await reads.get("/api/v3/aggTrades", symbol="BTCUSD", fromId=huge) == []
    assert await reads.get("/api/v3/aggTrades", symbol="BTCUSD", startTime=huge) == []
    assert len(await reads.get("/api/v3/aggTrades", symbol="BTCUSD", endTime=huge)) == 1
    assert await reads.get("/api/v3/klines", symbol="BTCUSD", interval="1M", startTime=huge) == []
    assert await reads.get("/api/v3/klines", symbol="BTCUSD", interval="1s", startTime=huge, endTime=0) == []


def _terms(instrument: Any) -> dict[str, Any]:
    return {name: getattr(instrument, name) for name in instrument.__struct_fields__}
