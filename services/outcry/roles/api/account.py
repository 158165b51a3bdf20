"""What an account asks about itself: balances, fees, limits, filters; and with them its history."""

from collections.abc import Mapping
from typing import Any, Final

from outcry.decimals import money_text, price_text, qty_text, rate_text
from outcry.market.instrument import Instrument
from outcry.market.terms import STP_DECREMENT, STP_EXPIRE_BOTH, STP_EXPIRE_MAKER, STP_EXPIRE_TAKER, STP_NAMES
from outcry.roles.api import history
from outcry.roles.api.endpoint import READ, Call, Endpoint, Param
from outcry.roles.api.exchangeinfo import filters_json
from outcry.roles.api.intervals import refuse_together
from outcry.roles.api.limits import Limits, rate_limits
from outcry.roles.api.orderform import one_of
from outcry.roles.api.selection import LIMIT, SYMBOL
from outcry.rows import AccountRow, Balance, PreventedRow

PPM_PER_BASIS_POINT: Final = 100

Json = dict[str, Any]


async def account_state(call: Call) -> Json:
    """GET /api/v3/account."""
    account = call.account
    assert account is not None
    balances = await balances_of(call)
    if call.params["omitZeroBalances"]:
        balances = [balance for balance in balances if balance.free or balance.held]
    may = not account.frozen
    return {
        "makerCommission": account.maker_ppm // PPM_PER_BASIS_POINT,
        "takerCommission": account.taker_ppm // PPM_PER_BASIS_POINT,
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": rates_json(account.maker_ppm, account.taker_ppm),
        "canTrade": may,
        "canWithdraw": may,
        "canDeposit": True,
        "brokered": False,
        "requireSelfTradePrevention": False,
        "preventSor": False,
        "updateTime": call.venue.clock.now_ms(),
        "accountType": "SPOT",
        "balances": [
            {
                "asset": call.venue.assets[balance.asset_id],
                "free": money_text(balance.free),
                "locked": money_text(balance.held),
            }
            for balance in balances
        ],
        "permissions": ["SPOT"],
        "uid": account.account_id,
    }


async def order_counts(call: Call) -> list[Json]:
    """GET /api/v3/rateLimit/order."""
    venue = call.venue
    limits = Limits(venue.shared, venue.clock, venue.settings.limits)
    return rate_limits(await limits.count_orders(call.account_id, 0))


async def commission(call: Call) -> Json:
    """GET /api/v3/account/commission."""
    assert call.account is not None
    return commission_json(call.params["symbol"], call.account)


async def prevented_matches(call: Call) -> list[Json]:
    """GET /api/v3/myPreventedMatches: one match, or those of an order."""
    params = call.params
    instrument: Instrument = params["symbol"]
    match_id, order_id = params.get("preventedMatchId"), params.get("orderId")
    if match_id is None and order_id is None:
        raise one_of("preventedMatchId", "orderId")
    refuse_together(params, "preventedMatchId", "orderId", "fromPreventedMatchId")
    rows = await call.venue.ledger.prevented(
        call.account_id,
        instrument.symbol_id,
        order_id=order_id,
        from_id=params.get("fromPreventedMatchId") if match_id is None else match_id,
        limit=params["limit"] if match_id is None else 1,
    )
    return [prevented_json(row, instrument) for row in rows if match_id in (None, row.prevented_id)]


async def my_filters(call: Call) -> Json:
    """GET /api/v3/myFilters: those of the symbol; no account has others."""
    return {"exchangeFilters": [], "symbolFilters": filters_json(call.params["symbol"]), "assetFilters": []}


async def no_allocations(call: Call) -> list[Json]:
    """GET /api/v3/myAllocations: there is no smart order routing."""
    return []


async def balances_of(call: Call) -> list[Balance]:
    """One balance for every asset, in the order of the assets."""
    known = {balance.asset_id: balance for balance in await call.venue.ledger.balances(call.account_id)}
    return [known.get(asset_id) or Balance(asset_id, 0, 0) for asset_id in sorted(call.venue.assets)]


def rates_json(maker_ppm: int, taker_ppm: int) -> Json:
    """Fee rates by role; the side never matters."""
    return {
        "maker": rate_text(maker_ppm),
        "taker": rate_text(taker_ppm),
        "buyer": rate_text(0),
        "seller": rate_text(0),
    }


def commission_json(instrument: Instrument, account: AccountRow) -> Json:
    """Fee rates of an account in a symbol; there are no special rates, taxes or discounts."""
    return {
        "symbol": instrument.symbol,
        "standardCommission": rates_json(account.maker_ppm, account.taker_ppm),
        "specialCommission": rates_json(0, 0),
        "taxCommission": rates_json(0, 0),
        "discount": {
            "enabledForAccount": False,
            "enabledForSymbol": False,
            "discountAsset": "",
            "discount": rate_text(0),
        },
    }


def prevented_json(row: PreventedRow, instrument: Instrument) -> Json:
    """A match that self-trade prevention stopped; a quantity is shown where the mode took from that side."""
    answer: Json = {
        "symbol": instrument.symbol,
        "preventedMatchId": row.prevented_id,
        "takerOrderId": row.taker_order,
        "makerSymbol": instrument.symbol,
        "makerOrderId": row.maker_order,
        "tradeGroupId": -1,
        "selfTradePreventionMode": STP_NAMES[row.mode],
        "price": price_text(instrument, row.price),
    }
    if row.mode in (STP_EXPIRE_MAKER, STP_EXPIRE_BOTH, STP_DECREMENT):
        answer["makerPreventedQuantity"] = qty_text(instrument, row.maker_prevented)
    if row.mode in (STP_EXPIRE_TAKER, STP_EXPIRE_BOTH, STP_DECREMENT):
        answer["takerPreventedQuantity"] = qty_text(instrument, row.taker_prevented)
    answer["transactTime"] = row.time_ms
    return answer


def _prevented_weight(params: Mapping[str, Any]) -> int:
    return 2 if "preventedMatchId" in params else 20


_RATES: Final = rates_json(1_000, 1_000)
_ACCOUNT: Final[Json] = {
    "makerCommission": 10, "takerCommission": 10, "buyerCommission": 0, "sellerCommission": 0,
    "commissionRates": _RATES, "canTrade": True, "canWithdraw": True, "canDeposit": True, "brokered": False,
    "requireSelfTradePrevention": False, "preventSor": False, "updateTime": 1700000000000, "accountType": "SPOT",
    "balances": [{"asset": "BTC", "free": "100.00000000", "locked": "0.00000000"}], "permissions": ["SPOT"],
    "uid": 1001,
}  # fmt: skip
_COUNT: Final[Json] = {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 50, "count": 0}
_PREVENTED: Final[Json] = {
    "symbol": "BTCUSD", "preventedMatchId": 1, "takerOrderId": 5, "makerSymbol": "BTCUSD", "makerOrderId": 3,
    "tradeGroupId": -1, "selfTradePreventionMode": "EXPIRE_MAKER", "price": "60000.00000000",
    "makerPreventedQuantity": "0.01000000", "transactTime": 1700000000000,
}  # fmt: skip

ENDPOINTS: Final = [
    Endpoint(
        method="GET", path="/api/v3/account", answer=account_state, security=READ, weight=20, ws="account.status",
        params=(Param(name="omitZeroBalances", kind="bool", default=False),),
        summary="Balances and fees", example=_ACCOUNT, tag="account",
    ),
    Endpoint(
        method="GET", path="/api/v3/account/commission", answer=commission, security=READ, weight=20, params=(SYMBOL,),
        ws="account.commission", summary="Fee rates", tag="account",
        example={"symbol": "BTCUSD", "standardCommission": _RATES},
    ),
    Endpoint(
        method="GET", path="/api/v3/rateLimit/order", answer=order_counts, security=READ, weight=40,
        ws="account.rateLimits.orders", summary="Orders counted against the limits", example=[_COUNT], tag="account",
    ),
    Endpoint(
        method="GET", path="/api/v3/myPreventedMatches", answer=prevented_matches, security=READ,
        weight=_prevented_weight, ws="myPreventedMatches",
        params=(
            SYMBOL, Param(name="preventedMatchId", kind="int"), Param(name="orderId", kind="int"),
            Param(name="fromPreventedMatchId", kind="int"), LIMIT,
        ),
        summary="Matches that self-trade prevention stopped", example=[_PREVENTED], tag="account",
    ),
    Endpoint(
        method="GET", path="/api/v3/myAllocations", answer=no_allocations, security=READ, weight=20,
        params=(SYMBOL, LIMIT), ws="myAllocations", summary="Allocations (none: no smart order routing)", example=[],
        tag="account",
    ),
    Endpoint(
        method="GET", path="/api/v3/myFilters", answer=my_filters, security=READ, weight=40, params=(SYMBOL,),
        ws="myFilters", summary="Filters that apply to the account", tag="account",
        example={
            "exchangeFilters": [], "symbolFilters": [{"filterType": "ICEBERG_PARTS", "limit": 100}], "assetFilters": [],
        },
    ),
    *history.ENDPOINTS,
]  # fmt: skip
