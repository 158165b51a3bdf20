"""The trading rules: exchangeInfo, and the rules of Binance that this exchange does not have."""

from collections.abc import Mapping
from typing import Any, Final

from outcry.decimals import money_text, price_text, qty_text
from outcry.market.instrument import MAX_AMOUNT, Instrument
from outcry.market.terms import STP_NAMES, STP_NONE, TYPE_NAMES
from outcry.roles.api.endpoint import Call, Endpoint, Param
from outcry.roles.api.errors import Refusal
from outcry.roles.api.intervals import refuse_together
from outcry.roles.api.limits import announced
from outcry.roles.api.selection import ONE_SYMBOL, SYMBOL, SYMBOL_STATUS, SYMBOLS, chosen, status_of, the_symbol

Json = dict[str, Any]

SPOT: Final = "SPOT"
ORDER_TYPES: Final = sorted(TYPE_NAMES.values())


async def exchange_info(call: Call) -> Json:
    """GET /api/v3/exchangeInfo."""
    params = call.params
    refuse_together(params, "permissions", "symbol", "symbols")
    refuse_together(params, "symbolStatus", "symbol", "symbols")
    instruments = chosen(call)
    if SPOT not in params.get("permissions", (SPOT,)):
        instruments = []
    shows_sets = params["showPermissionSets"]
    return {
        "timezone": "UTC",
        "serverTime": call.venue.clock.now_ms(),
        "rateLimits": announced(call.venue.settings.limits),
        "exchangeFilters": [],
        "symbols": [symbol_json(each, status_of(each, call.venue), shows_sets=shows_sets) for each in instruments],
    }


async def no_execution_rules(call: Call) -> Json:
    """GET /api/v3/executionRules: no symbol has one."""
    refuse_together(call.params, "symbolStatus", "symbol", "symbols")
    chosen(call)
    return {"symbolRules": []}


async def no_reference_price(call: Call) -> Json:
    """GET /api/v3/referencePrice and /referencePrice/calculation."""
    the_symbol(call)
    raise Refusal(-2043, "This symbol doesn't have a reference price.")


def symbol_json(instrument: Instrument, status: str, *, shows_sets: bool = True) -> Json:
    """One symbol with every field that clients read (wire-api: ``filters[0]`` is PRICE_FILTER)."""
    return {
        "symbol": instrument.symbol,
        "status": status,
        "baseAsset": instrument.base,
        "baseAssetPrecision": 8,
        "quoteAsset": instrument.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": ORDER_TYPES,
        "icebergAllowed": True,
        "ocoAllowed": True,
        "otoAllowed": False,
        "opoAllowed": False,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": True,
        "cancelReplaceAllowed": True,
        "amendAllowed": True,
        "pegInstructionsAllowed": False,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": filters_json(instrument),
        "permissions": [],
        "permissionSets": [[SPOT]] if shows_sets else [],
        "defaultSelfTradePreventionMode": STP_NAMES[STP_NONE],
        "allowedSelfTradePreventionModes": list(STP_NAMES.values()),
    }


def filters_json(instrument: Instrument) -> list[Json]:
    """The symbol's filters; each is enforced, maxNotional by the highest price and size."""
    return [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": price_text(instrument, instrument.min_price),
            "maxPrice": price_text(instrument, instrument.max_price),
            "tickSize": price_text(instrument, 1),
        },
        _lot_filter("LOT_SIZE", instrument, instrument.min_qty, instrument.max_qty),
        _lot_filter("MARKET_LOT_SIZE", instrument, instrument.market_min_qty, instrument.market_max_qty),
        {
            "filterType": "NOTIONAL",
            "minNotional": money_text(instrument.min_notional),
            "applyMinToMarket": True,
            "maxNotional": money_text(_highest_notional(instrument)),
            "applyMaxToMarket": False,
            "avgPriceMins": 0,
        },
        {"filterType": "ICEBERG_PARTS", "limit": instrument.iceberg_parts},
        {
            "filterType": "TRAILING_DELTA",
            "minTrailingAboveDelta": instrument.min_trailing_bps,
            "maxTrailingAboveDelta": instrument.max_trailing_bps,
            "minTrailingBelowDelta": instrument.min_trailing_bps,
            "maxTrailingBelowDelta": instrument.max_trailing_bps,
        },
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": instrument.max_orders},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": instrument.max_algo_orders},
    ]


def _highest_notional(instrument: Instrument) -> int:
    return min(instrument.max_price * instrument.max_qty * instrument.quote_unit, MAX_AMOUNT - 1)


def _rules_weight(params: Mapping[str, Any]) -> int:
    number = 1 if "symbol" in params else len(params.get("symbols", ()))
    return min(2 * number, 40) if number else 40


def _lot_filter(name: str, instrument: Instrument, low: int, high: int) -> Json:
    return {
        "filterType": name,
        "minQty": qty_text(instrument, low),
        "maxQty": qty_text(instrument, high),
        "stepSize": qty_text(instrument, 1),
    }


_LIMIT: Final[Json] = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000}
_EXAMPLE: Final[Json] = {
    "timezone": "UTC",
    "serverTime": 1700000000000,
    "rateLimits": [_LIMIT],
    "exchangeFilters": [],
    "symbols": [{"symbol": "BTCUSD", "status": "TRADING", "baseAsset": "BTC", "quoteAsset": "USD"}],
}

ENDPOINTS: Final = [
    Endpoint(
        method="GET", path="/api/v3/exchangeInfo", answer=exchange_info, weight=20, ws="exchangeInfo",
        params=(
            ONE_SYMBOL, SYMBOLS,
            Param(name="permissions", kind="names", example="SPOT", note="One permission, or a JSON array of them."),
            Param(name="showPermissionSets", kind="bool", default=True),
            SYMBOL_STATUS,
        ),
        summary="Trading rules and symbols", example=_EXAMPLE,
    ),
    Endpoint(
        method="GET", path="/api/v3/executionRules", answer=no_execution_rules, weight=_rules_weight,
        ws="executionRules",
        params=(ONE_SYMBOL, SYMBOLS, SYMBOL_STATUS), summary="Execution rules (none)", example={"symbolRules": []},
    ),
    Endpoint(
        method="GET", path="/api/v3/referencePrice", answer=no_reference_price, weight=2, ws="referencePrice",
        params=(SYMBOL,), summary="Reference price (no symbol has one)",
    ),
    Endpoint(
        method="GET", path="/api/v3/referencePrice/calculation", answer=no_reference_price, weight=2,
        ws="referencePrice.calculation", params=(SYMBOL, SYMBOL_STATUS),
        summary="How a reference price is made (no symbol has one)",
    ),
]  # fmt: skip
