"""SIGKILL at any moment under load: nothing acknowledged is lost, nothing retried is doubled, every invariant holds."""

import asyncio
import itertools
import os
import random
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.signed import SignedClient
from tests.support.venue import Exchange, start_exchange

KILLS = 200 if os.environ.get("OUTCRY_TEST_LONG") else 20
WORKERS = 12
KEYS = [("outcry-demo-key-1", "outcry-demo-secret-1"), ("outcry-demo-key-2", "outcry-demo-secret-2")]
SYMBOLS = {"BTCUSD": 20_000, "ETHUSD": 2_000, "SOLUSD": 100}
OPEN, DONE = {"NEW", "PARTIALLY_FILLED"}, {"FILLED", "CANCELED", "EXPIRED", "EXPIRED_IN_MATCH"}
names = itertools.count(1)


@dataclass
class Sent:
    """One order as the client knows it: what it asked for and the last answer it got."""

    owner: int
    params: dict[str, Any]
    answer: dict[str, Any] | None = None  # None: the outcome is unknown

    @property
    def name(self) -> str:
        return str(self.params["newClientOrderId"])


@dataclass
class History:
    """All that the clients sent and were told, over every crash."""

    orders: list[Sent] = field(default_factory=list)
    canceled: list[Sent] = field(default_factory=list)  # acknowledged cancels
    update_ids: dict[str, int] = field(default_factory=dict)


def random_order(dice: random.Random) -> dict[str, Any]:
    symbol, middle = dice.choice(list(SYMBOLS.items()))
    order = {
        "symbol": symbol,
        "side": dice.choice(["BUY", "SELL"]),
        "type": "LIMIT",
        "timeInForce": dice.choice(["GTC", "GTC", "IOC"]),
        "quantity": f"{dice.randint(1, 40) / 1000:.3f}" if symbol == "BTCUSD" else f"{dice.randint(1, 40) / 10:.1f}",
        "price": f"{middle * (1 + dice.randint(-20, 20) / 1000):.2f}",
        "newClientOrderId": f"k{next(names)}",
        "newOrderRespType": "FULL",
    }
    if dice.random() < 0.1:
        order.pop("price"), order.pop("timeInForce")
        order["type"] = "MARKET"
    return order


async def trade(client: SignedClient, owner: int, history: History, dice: random.Random) -> None:
    """Places, and now and then cancels, until the exchange dies under it."""
    while True:
        if dice.random() < 0.25 and (target := resting(history, owner, dice)):
            status, answer = await client.ask(
                "DELETE", "/api/v3/order", {"symbol": target.params["symbol"], "origClientOrderId": target.name}
            )
            if status == 200:
                target.answer = answer
                history.canceled.append(target)
            continue
        sent = Sent(owner, random_order(dice))
        history.orders.append(sent)
        status, answer = await client.ask("POST", "/api/v3/order", sent.params, Idempotency_Key=sent.name)
        if status in (504, 503):
            continue
        sent.answer = answer if status == 200 else {"status": "REFUSED", "code": answer["code"]}


def resting(history: History, owner: int, dice: random.Random) -> Sent | None:
    recent = [s for s in history.orders[-200:] if s.owner == owner and s.answer and s.answer["status"] in OPEN]
    return dice.choice(recent) if recent else None


async def load_until_killed(exchange: Exchange, history: History, seed: int) -> None:
    dice = random.Random(seed)
    async with aiohttp.ClientSession() as session:
        clients = [SignedClient(session, exchange.url, *KEYS[n % 2]) for n in range(WORKERS)]
        workers = [
            asyncio.create_task(trade(c, n % 2, history, random.Random(seed * 100 + n))) for n, c in enumerate(clients)
        ]
        await asyncio.sleep(0.2 + dice.random() * 1.0)
        exchange.kill()
        results = await asyncio.gather(*workers, return_exceptions=True)
    trouble = [r for r in results if not isinstance(r, (aiohttp.ClientError, asyncio.TimeoutError, OSError))]
    assert not trouble, trouble


async def check_after_restart(exchange: Exchange, history: History, since: int) -> None:
    """Every answer still stands, and no update id went back."""
    async with aiohttp.ClientSession() as session:
        clients = [SignedClient(session, exchange.url, *key) for key in KEYS]
        for sent in history.orders[since:]:
            if sent.answer is not None and sent.answer["status"] != "REFUSED":
                await check_standing(clients[sent.owner], sent)
        for symbol in SYMBOLS:
            async with session.get(f"{exchange.url}/api/v3/depth", params={"symbol": symbol}) as answer:
                update_id = (await answer.json())["lastUpdateId"]
            assert update_id >= history.update_ids.get(symbol, 0)
            history.update_ids[symbol] = update_id


async def settle_all(exchange: Exchange, history: History) -> int:
    """Retries every order whose outcome nobody saw; returns how many there were."""
    unknown = [sent for sent in history.orders if sent.answer is None]
    async with aiohttp.ClientSession() as session:
        clients = [SignedClient(session, exchange.url, *key) for key in KEYS]
        await asyncio.gather(*(settle(clients[sent.owner], sent) for sent in unknown))
    return len(unknown)


async def settle(client: SignedClient, sent: Sent) -> None:
    for _ in range(150):
        status, answer = await client.ask("POST", "/api/v3/order", sent.params, Idempotency_Key=sent.name)
        if status == 409:  # the first attempt is still finding its outcome
            await asyncio.sleep(0.2)
            continue
        assert status in (200, 400), answer
        sent.answer = answer if status == 200 else {"status": "REFUSED", "code": answer["code"]}
        return
    raise AssertionError(f"{sent.name} never settled")


async def check_standing(client: SignedClient, sent: Sent) -> None:
    assert sent.answer is not None
    status, now = await client.ask(
        "GET", "/api/v3/order", {"symbol": sent.params["symbol"], "orderId": sent.answer["orderId"]}
    )
    assert status == 200, (sent, now)
    told = sent.answer
    assert now["clientOrderId"] == sent.name
    assert float(now["executedQty"]) >= float(told.get("executedQty", 0)), (told, now)
    if told["status"] in DONE:
        assert now["status"] == told["status"], (told, now)
        assert now["executedQty"] == told["executedQty"], (told, now)


async def check_nothing_doubled(exchange: Exchange, history: History) -> None:
    async with aiohttp.ClientSession() as session:
        for owner, key in enumerate(KEYS):
            client = SignedClient(session, exchange.url, *key)
            seen: list[str] = []
            for symbol in SYMBOLS:
                seen += [row["clientOrderId"] for row in await all_orders(client, symbol)]
            assert len(seen) == len(set(seen))
            acknowledged = {s.name for s in history.orders if s.owner == owner and s.answer and "orderId" in s.answer}
            assert acknowledged <= set(seen)
        for symbol in SYMBOLS:
            ids = await trade_ids(session, exchange.url, symbol)
            assert ids == list(range(1, len(ids) + 1)), f"{symbol}: trade ids are not dense"


async def all_orders(client: SignedClient, symbol: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    next_id = 0
    while True:
        _, page = await client.ask("GET", "/api/v3/allOrders", {"symbol": symbol, "orderId": next_id, "limit": 1000})
        rows += page
        if len(page) < 1000:
            return rows
        next_id = page[-1]["orderId"] + 1


async def trade_ids(session: aiohttp.ClientSession, url: str, symbol: str) -> list[int]:
    ids: list[int] = []
    while True:
        query = {"symbol": symbol, "fromId": str(ids[-1] + 1 if ids else 0), "limit": "1000"}
        async with session.get(f"{url}/api/v3/historicalTrades", params=query) as answer:
            page = [row["id"] for row in await answer.json()]
        ids += page
        if len(page) < 1000:
            return ids


def verify(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "outcry", "verify", "--data", str(folder)],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.timeout(7200 if KILLS > 20 else 600)
async def test_an_exchange_killed_under_load_loses_and_doubles_nothing(tmp_path: Path) -> None:
    history, since = History(), 0
    for kill in range(KILLS):
        exchange = start_exchange(tmp_path, simulation=False)
        await check_after_restart(exchange, history, since)
        since = len(history.orders)
        await load_until_killed(exchange, history, seed=kill)
        verify(tmp_path)
    exchange = start_exchange(tmp_path, simulation=False)
    try:
        await check_after_restart(exchange, history, since)
        unknown = await settle_all(exchange, history)
        await check_nothing_doubled(exchange, history)
        verify(tmp_path)
    finally:
        exchange.kill()
    acknowledged = sum(1 for sent in history.orders if sent.answer and "orderId" in sent.answer)
    print(
        f"{KILLS} SIGKILLs, {len(history.orders)} orders sent, {acknowledged} acknowledged, "
        f"{unknown} settled by a retry, {len(history.canceled)} canceled: 0 lost, 0 doubled"
    )
    assert acknowledged > KILLS * 20
