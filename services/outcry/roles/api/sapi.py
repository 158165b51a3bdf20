"""What clients ask of Binance's other interfaces when they start up: fixed answers, so that they need no options."""

from typing import Any, Final

from outcry.decimals import money_text, rate_text
from outcry.roles.api.account import balances_of
from outcry.roles.api.endpoint import READ, Call, Endpoint
from outcry.roles.api.selection import ONE_SYMBOL

Json = dict[str, Any]
ZERO: Final = money_text(0)


async def all_coins(call: Call) -> list[Json]:
    """GET /sapi/v1/capital/config/getall: every asset with the caller's balance; nothing moves over networks."""
    return [
        coin_json(call.venue.assets[balance.asset_id], money_text(balance.free), money_text(balance.held))
        for balance in await balances_of(call)
    ]


async def trade_fees(call: Call) -> list[Json]:
    """GET /sapi/v1/asset/tradeFee."""
    account = call.account
    assert account is not None
    one = call.params.get("symbol")
    instruments = [one] if one is not None else call.venue.instruments.values()
    return [
        {
            "symbol": instrument.symbol,
            "makerCommission": short_rate(account.maker_ppm),
            "takerCommission": short_rate(account.taker_ppm),
        }
        for instrument in instruments
    ]


async def system_status(call: Call) -> Json:
    """GET /sapi/v1/system/status."""
    return {"status": 0, "msg": "normal"}


async def nothing(call: Call) -> list[Json]:
    """No margin pairs, no delistings."""
    return []


async def no_contracts(call: Call) -> Json:
    """GET /fapi/v1/exchangeInfo and /dapi/v1/exchangeInfo."""
    return {
        "timezone": "UTC",
        "serverTime": call.venue.clock.now_ms(),
        "rateLimits": [],
        "exchangeFilters": [],
        "symbols": [],
    }


def coin_json(asset: str, free: str, locked: str) -> Json:
    """An asset as the wallet lists it."""
    return {
        "coin": asset,
        "depositAllEnable": False,
        "withdrawAllEnable": False,
        "name": asset,
        "free": free,
        "locked": locked,
        "freeze": ZERO,
        "withdrawing": ZERO,
        "ipoing": ZERO,
        "ipoable": ZERO,
        "storage": ZERO,
        "isLegalMoney": False,
        "trading": True,
        "networkList": [],
    }


def short_rate(ppm: int) -> str:
    """A fee rate without trailing zeros, as this interface shows it: ``0.001``."""
    text = rate_text(ppm).rstrip("0")
    return text + "0" if text.endswith(".") else text


_NO_CONTRACTS: Final[Json] = {
    "timezone": "UTC", "serverTime": 1700000000000, "rateLimits": [], "exchangeFilters": [], "symbols": [],
}  # fmt: skip

ENDPOINTS: Final = [
    Endpoint(
        method="GET", path="/sapi/v1/capital/config/getall", answer=all_coins, security=READ, weight=10,
        summary="Assets with balances", example=[coin_json("BTC", "100.00000000", ZERO)], tag="start-up",
    ),
    Endpoint(
        method="GET", path="/sapi/v1/asset/tradeFee", answer=trade_fees, security=READ, params=(ONE_SYMBOL,),
        summary="Fee rates by symbol", tag="start-up",
        example=[{"symbol": "BTCUSD", "makerCommission": "0.001", "takerCommission": "0.001"}],
    ),
    Endpoint(
        method="GET", path="/sapi/v1/system/status", answer=system_status, summary="Status of the venue",
        example={"status": 0, "msg": "normal"}, tag="start-up",
    ),
    *(
        Endpoint(method="GET", path=path, answer=nothing, summary=summary, example=[], tag="start-up")
        for path, summary in (
            ("/sapi/v1/margin/allPairs", "Margin pairs (none)"),
            ("/sapi/v1/margin/isolated/allPairs", "Isolated margin pairs (none)"),
            ("/sapi/v1/spot/delist-schedule", "Planned delistings (none)"),
        )
    ),
    *(
        Endpoint(
            method="GET", path=path, answer=no_contracts, summary="Contracts (none)", example=_NO_CONTRACTS,
            tag="start-up",
        )
        for path in ("/fapi/v1/exchangeInfo", "/dapi/v1/exchangeInfo")
    ),
]  # fmt: skip
