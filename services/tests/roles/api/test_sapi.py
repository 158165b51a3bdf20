"""Start-up calls of clients to Binance's other interfaces get answers that need no options."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.reads import Reads, reading


@pytest.fixture
async def reads(tmp_path: Path) -> AsyncIterator[Reads]:
    async with reading(tmp_path) as running:
        yield running


async def test_every_asset_is_listed_with_its_balance(reads: Reads) -> None:
    coins = await reads.signed("/sapi/v1/capital/config/getall")
    assert [(coin["coin"], coin["free"], coin["networkList"]) for coin in coins] == [
        ("USD", "50.00000000", []), ("BTC", "0.00000000", []), ("ETH", "0.00000000", []),
    ]  # fmt: skip
    assert {"depositAllEnable", "withdrawAllEnable", "name", "locked", "trading"} <= set(coins[0])


async def test_trade_fees_are_short_rates(reads: Reads) -> None:
    fee = {"makerCommission": "0.001", "takerCommission": "0.001"}
    assert await reads.signed("/sapi/v1/asset/tradeFee") == [{"symbol": s, **fee} for s in ("BTCUSD", "ETHUSD")]
    assert await reads.signed("/sapi/v1/asset/tradeFee", symbol="ETHUSD") == [{"symbol": "ETHUSD", **fee}]


async def test_the_system_is_normal(reads: Reads) -> None:
    assert await reads.get("/sapi/v1/system/status") == {"status": 0, "msg": "normal"}


@pytest.mark.parametrize("path", ["margin/allPairs", "margin/isolated/allPairs", "spot/delist-schedule"])
async def test_what_is_not_traded_is_empty_with_or_without_a_signature(reads: Reads, path: str) -> None:
    assert await reads.get(f"/sapi/v1/{path}") == []
    assert await reads.signed(f"/sapi/v1/{path}") == []


@pytest.mark.parametrize("path", ["/fapi/v1/exchangeInfo", "/dapi/v1/exchangeInfo"])
async def test_there_are_no_contracts(reads: Reads, path: str) -> None:
    assert await reads.get(path) == {
        "timezone": "UTC", "serverTime": reads.now_ms, "rateLimits": [], "exchangeFilters": [], "symbols": [],
    }  # fmt: skip
