"""What a ccxt.pro user watches and trades over WebSocket; prints one JSON object. Usage: URL KEY SECRET [STREAMS]."""

import asyncio
import json
import sys

import ccxt.pro

url, key, secret = sys.argv[1:4]
SOCKETS = url.replace("http", "ws", 1)
STREAMS = sys.argv[4] if len(sys.argv) > 4 else SOCKETS  # a cluster has them on processes of their own


def venue() -> ccxt.pro.binance:
    exchange = ccxt.pro.binance({"apiKey": key, "secret": secret})
    api = exchange.urls["api"]
    paths = {
        "public": "/api/v3",
        "private": "/api/v3",
        "sapi": "/sapi/v1",
        "fapiPublic": "/fapi/v1",
        "dapiPublic": "/dapi/v1",
    }
    for name, path in paths.items():
        api[name] = url + path
    api["ws"]["spot"] = STREAMS + "/ws"
    api["ws"]["ws-api"]["spot"] = SOCKETS + "/ws-api/v3"
    return exchange


async def watch_private(exchange: ccxt.pro.binance) -> dict[str, object]:
    orders = asyncio.create_task(exchange.watch_orders("BTC/USD"))
    balance = asyncio.create_task(exchange.watch_balance())
    await asyncio.sleep(1.0)
    placed = await exchange.create_order_ws("BTC/USD", "market", "buy", 0.003)
    seen = await asyncio.wait_for(orders, 20)
    money = await asyncio.wait_for(balance, 20)
    resting = await exchange.create_order_ws("BTC/USD", "limit", "buy", 0.01, 1000)
    canceled = await exchange.cancel_order_ws(resting["id"], "BTC/USD")
    return {
        "ws_order_status": placed["status"],
        "watched_order": any(order["id"] == placed["id"] for order in seen),
        "watched_balance": "USD" in money,
        "ws_cancel_status": canceled["status"],
    }


async def watch_market(exchange: ccxt.pro.binance) -> dict[str, object]:
    book, same_book, trades, ticker, candles, best = await asyncio.wait_for(
        asyncio.gather(
            exchange.watch_order_book("BTC/USD"),
            exchange.watch_order_book("ETH/USD"),
            exchange.watch_trades("BTC/USD"),
            exchange.watch_ticker("BTC/USD"),
            exchange.watch_ohlcv("BTC/USD", "1m"),
            exchange.watch_bids_asks(["BTC/USD"]),
        ),
        60,
    )
    for _ in range(20):  # ccxt raises ChecksumError on a gap in the diffs
        book = await asyncio.wait_for(exchange.watch_order_book("BTC/USD"), 20)
    return {
        "book_sides": bool(book["bids"] and book["asks"] and same_book["bids"]),
        "book_not_crossed": book["bids"][0][0] < book["asks"][0][0],
        "trades": len(trades) > 0,
        "ticker_last": ticker["last"] > 0,
        "candles": len(candles) > 0,
        "best_bid_ask": best["BTC/USD"]["bid"] > 0,
    }


async def main() -> None:
    exchange = venue()
    try:
        await exchange.load_markets()
        findings = {**await watch_market(exchange), **await watch_private(exchange)}
    finally:
        await exchange.close()
    print(json.dumps(findings))


asyncio.run(main())
