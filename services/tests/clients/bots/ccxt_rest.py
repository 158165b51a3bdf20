"""What a ccxt user does with an exchange, over REST; prints one JSON object of findings. Usage: URL KEY SECRET."""

import json
import sys

import ccxt

url, key, secret = sys.argv[1:4]


def venue() -> ccxt.binance:
    exchange = ccxt.binance({"apiKey": key, "secret": secret})
    paths = {
        "public": "/api/v3",
        "private": "/api/v3",
        "sapi": "/sapi/v1",
        "fapiPublic": "/fapi/v1",
        "dapiPublic": "/dapi/v1",
    }
    for name, path in paths.items():
        exchange.urls["api"][name] = url + path
    return exchange


def error_of(call) -> str:
    try:
        call()
    except ccxt.BaseError as problem:
        return type(problem).__name__
    return "nothing"


exchange = venue()
markets = exchange.load_markets()
market = markets["BTC/USD"]
ticker = exchange.fetch_ticker("BTC/USD")
book = exchange.fetch_order_book("BTC/USD", 5)
price = round(book["bids"][0][0] * 0.9, 2)
before = exchange.fetch_balance()

resting = exchange.create_limit_buy_order("BTC/USD", 0.01, price)
fetched = exchange.fetch_order(resting["id"], "BTC/USD")
open_ids = [order["id"] for order in exchange.fetch_open_orders("BTC/USD")]
held = exchange.fetch_balance()["USD"]["used"] - before["USD"]["used"]
edited = exchange.edit_order(resting["id"], "BTC/USD", "limit", "buy", 0.02, price)
canceled = exchange.cancel_order(edited["id"], "BTC/USD")
after_cancel = exchange.fetch_order(edited["id"], "BTC/USD")

bought = exchange.create_market_buy_order("BTC/USD", 0.005)
spent = exchange.create_order("BTC/USD", "market", "buy", None, None, {"quoteOrderQty": 500})
sold = exchange.create_market_sell_order("BTC/USD", 0.005)
mine = exchange.fetch_my_trades("BTC/USD", limit=50)
stop = exchange.create_order(
    "BTC/USD", "STOP_LOSS_LIMIT", "sell", 0.01, price * 0.8, {"stopPrice": price * 0.85, "timeInForce": "GTC"}
)
cleared = exchange.cancel_all_orders("BTC/USD")

print(
    json.dumps(
        {
            "markets": len(markets),
            "market_type": market["type"],
            "tick": market["precision"]["price"],
            "ticker_has_bid_and_ask": ticker["bid"] > 0 and ticker["ask"] > 0,
            "spread_positive": book["asks"][0][0] > book["bids"][0][0],
            "resting_status": resting["status"],
            "fetched_price": fetched["price"] == price,
            "is_open": resting["id"] in open_ids,
            "held_usd": round(held, 8) == round(0.01 * price, 8),
            "edited_amount": edited["amount"],
            "edit_replaced_it": edited["id"] != resting["id"],
            "canceled_status": canceled["status"],
            "after_cancel_status": after_cancel["status"],
            "bought_status": bought["status"],
            "bought_filled": bought["filled"],
            "bought_fee_asset": bought["trades"][0]["fee"]["currency"],
            "spent_at_most": spent["cost"] <= 500,
            "sold_status": sold["status"],
            "mine_has_fill": any(trade["order"] == bought["id"] for trade in mine),
            "stop_type": stop["type"],
            "cleared": len(cleared),
            "candles": len(exchange.fetch_ohlcv("BTC/USD", "5m", limit=200)),
            "public_trades": len(exchange.fetch_trades("BTC/USD", limit=20)) > 0,
            "closed_orders": len(exchange.fetch_closed_orders("BTC/USD")) > 0,
            "tickers": len(exchange.fetch_tickers()),
            "trading_fee": exchange.fetch_trading_fee("BTC/USD")["maker"],
            "clock_difference_ms": abs(exchange.load_time_difference()) < 5000,
            "too_big": error_of(lambda: exchange.create_limit_buy_order("BTC/USD", 8000, price)),
            "unknown_order": error_of(lambda: exchange.fetch_order("999999999", "BTC/USD")),
            "post_only_crossing": error_of(
                lambda: exchange.create_order(
                    "BTC/USD", "limit", "buy", 0.01, round(book["asks"][0][0] * 1.05, 2), {"postOnly": True}
                )
            ),
            "bad_key": error_of(
                lambda: ccxt.binance({"apiKey": "x" * 64, "secret": secret, "urls": exchange.urls}).fetch_balance()
            ),
        }
    )
)
