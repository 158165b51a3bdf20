"""What a python-binance user does over REST and sockets; prints one JSON object. Usage: URL KEY SECRET [STREAMS]."""

import asyncio
import json
import sys

from binance import AsyncClient, BinanceSocketManager
from binance.client import Client
from binance.exceptions import BinanceAPIException
from binance.ws.depthcache import DepthCacheManager

url, key, secret = sys.argv[1:4]
SOCKETS = url.replace("http", "ws", 1)
STREAMS = sys.argv[4] if len(sys.argv) > 4 else SOCKETS  # a cluster has them on processes of their own


def point_here(kind) -> None:
    kind.API_URL = kind.API_TESTNET_URL = url + "/api"
    kind.MARGIN_API_URL = url + "/sapi"
    kind.WS_API_URL = SOCKETS + "/ws-api/v3"


def error_of(call) -> int:
    try:
        call()
    except BinanceAPIException as problem:
        return problem.code
    return 0


def over_rest() -> dict[str, object]:
    client = Client(key, secret)
    book = client.get_order_book(symbol="BTCUSD")
    price = f"{float(book['bids'][0][0]) * 0.9:.2f}"
    tested = client.create_test_order(
        symbol="BTCUSD", side="BUY", type="LIMIT", timeInForce="GTC", quantity="0.01", price=price
    )
    resting = client.order_limit_buy(symbol="BTCUSD", quantity="0.01", price=price)
    canceled = client.cancel_order(symbol="BTCUSD", orderId=resting["orderId"])
    bought = client.order_market_buy(symbol="BTCUSD", quantity="0.002")
    oco = client.create_oco_order(
        symbol="BTCUSD",
        side="SELL",
        quantity="0.002",
        aboveType="LIMIT_MAKER",
        abovePrice=f"{float(book['asks'][0][0]) * 1.5:.2f}",
        belowType="STOP_LOSS_LIMIT",
        belowStopPrice=price,
        belowPrice=price,
        belowTimeInForce="GTC",
    )
    client.v3_delete_order_list(symbol="BTCUSD", orderListId=oco["orderListId"])
    return {
        "symbols": len(client.get_exchange_info()["symbols"]),
        "tested": tested == {},
        "resting_status": resting["status"],
        "canceled_status": canceled["status"],
        "bought_status": bought["status"],
        "fills": len(bought["fills"]) > 0,
        "oco_orders": len(oco["orders"]),
        "account_can_trade": client.get_account()["canTrade"],
        "klines": len(client.get_klines(symbol="BTCUSD", interval="1m", limit=50)),
        "my_trades": len(client.get_my_trades(symbol="BTCUSD")) > 0,
        "all_orders": len(client.get_all_orders(symbol="BTCUSD")) > 0,
        "unknown_symbol": error_of(lambda: client.get_order_book(symbol="NOPE")),
        "too_precise": error_of(lambda: client.order_limit_buy(symbol="BTCUSD", quantity="0.123456789", price=price)),
        "unknown_cancel": error_of(lambda: client.cancel_order(symbol="BTCUSD", orderId=987654321)),
    }


async def over_sockets() -> dict[str, object]:
    client = await AsyncClient.create(key, secret)
    sockets = BinanceSocketManager(client)
    sockets.STREAM_URL = STREAMS + "/"
    found: dict[str, object] = {}
    async with sockets.trade_socket("BTCUSD") as stream:
        found["trade_event"] = (await asyncio.wait_for(stream.recv(), 30))["e"]
    async with sockets.multiplex_socket(["btcusd@bookTicker", "ethusd@kline_1m"]) as stream:
        found["combined"] = "@" in (await asyncio.wait_for(stream.recv(), 30))["stream"]
    async with sockets.user_socket() as stream:
        await asyncio.sleep(1.0)
        order = await client.order_market_buy(symbol="BTCUSD", quantity="0.002")
        message = await asyncio.wait_for(stream.recv(), 30)
        found["user_event"] = message.get("event", message).get("e")
        found["async_status"] = order["status"]
    placed = await client.ws_create_order(
        symbol="BTCUSD", side="BUY", type="LIMIT", timeInForce="GTC", quantity="0.01", price="1000"
    )
    gone = await client.ws_cancel_order(symbol="BTCUSD", orderId=placed["orderId"])
    found["ws_canceled"] = gone["status"]
    cache = DepthCacheManager(client, symbol="BTCUSD", bm=sockets)
    async with cache as depth:
        for _ in range(10):
            state = await asyncio.wait_for(depth.recv(), 30)
        found["depth_cache"] = state.get_bids()[0][0] < state.get_asks()[0][0]
    await client.close_connection()
    return found


point_here(Client)
point_here(AsyncClient)
print(json.dumps({**over_rest(), **asyncio.run(over_sockets())}))
