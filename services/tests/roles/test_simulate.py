"""The crowd's wishes become requests that a client could have sent, and its role outlives trouble."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from outcry.adapters.clock import SystemClock
from outcry.adapters.memory import MemoryFeed
from outcry.agents.crowd import ACCOUNTS, Crowd, Listing
from outcry.agents.traders import CANCEL, PLACE, REPLACE, Wish
from outcry.market.terms import BUY, FOK, LIMIT_MAKER, MARKET, SELL, STOP_LOSS_LIMIT
from outcry.ports import OutOfService
from outcry.roles.admin.demo import PAIRS, instrument_of
from outcry.roles.simulate.requests import request_of
from outcry.roles.simulate.role import AskRefused, Simulation
from outcry.settings import ClientSettings
from outcry.telemetry import Telemetry
from outcry.wiring.simulate import Simulate
from tests.support.hasty import run_hastily
from tests.support.ports import free_port

ASSETS = {name: n for n, name in enumerate(["USD", *(pair.base for pair in PAIRS)], 1)}
BTCUSD = instrument_of(PAIRS[0], ASSETS, 4)


def wish(**change: Any) -> Wish:
    return Wish(PLACE, 1, 2001, "c-1", side=BUY, price=6_000_000, qty=100)._replace(**change)


def test_a_limit_order_carries_price_quantity_and_time_in_force() -> None:
    assert request_of(wish(tif=FOK), BTCUSD) == (
        "order.place",
        {
            "symbol": "BTCUSD",
            "side": "BUY",
            "type": "LIMIT",
            "newClientOrderId": "c-1",
            "newOrderRespType": "ACK",
            "timeInForce": "FOK",
            "price": "60000.00000000",
            "quantity": "0.00100000",
        },
    )


def test_a_market_order_carries_no_price_and_no_time_in_force() -> None:
    _, params = request_of(wish(type=MARKET, price=0, qty=0, quote_qty=150_000_000, side=SELL), BTCUSD)
    assert params["quoteOrderQty"] == "1.50000000"
    assert not {"price", "timeInForce", "quantity"} & set(params)


def test_a_moved_quote_names_the_order_it_replaces() -> None:
    method, params = request_of(wish(kind=REPLACE, type=LIMIT_MAKER, old_client_id="c-0"), BTCUSD)
    assert method == "order.cancelReplace"
    assert (params["cancelOrigClientOrderId"], params["cancelReplaceMode"]) == ("c-0", "ALLOW_FAILURE")
    assert "timeInForce" not in params


def test_a_stop_and_an_iceberg_say_so() -> None:
    _, params = request_of(wish(type=STOP_LOSS_LIMIT, stop_price=6_100_000, iceberg_qty=20), BTCUSD)
    assert (params["stopPrice"], params["icebergQty"]) == ("61000.00000000", "0.00020000")


def test_a_cancel_names_the_order() -> None:
    assert request_of(Wish(CANCEL, 1, 2006, "c-9"), BTCUSD) == (
        "order.cancel",
        {"symbol": "BTCUSD", "origClientOrderId": "c-9"},
    )


def test_every_demo_symbol_has_sound_terms() -> None:
    for pair in PAIRS:
        instrument = instrument_of(pair, ASSETS, 4)
        assert instrument.problems() == []
        assert instrument.quote_unit * 100_000_000 == pair.tick_size * pair.lot_size
        assert pair.reference * 10 < pair.highest


class Counter:
    """An exchange that counts what it is asked, and refuses or fails when told to."""

    def __init__(self, trouble: Exception | None = None, every: int = 2) -> None:
        self.asked: list[tuple[str, int]] = []
        self.trouble = trouble
        self.every = every

    async def ask(self, method: str, account_id: int, params: Mapping[str, str]) -> None:
        self.asked.append((method, account_id))
        if self.trouble is not None and len(self.asked) % self.every == 0:
            raise self.trouble


def run_for(seconds: float, exchange: Counter, rate: float = 200.0) -> None:
    clock = SystemClock()
    crowd = Crowd([Listing(BTCUSD, PAIRS[0].reference)], 1, "t", clock.now_ms())
    role = Simulation(
        crowd,
        [BTCUSD],
        ask=exchange.ask,
        feed=MemoryFeed(),
        prices={},
        clock=clock,
        telemetry=Telemetry(),
        orders_per_sec=rate,
        workers=4,
    )
    with pytest.raises(TimeoutError):
        run_hastily(asyncio.wait_for(role.run(), seconds))


def test_the_crowd_clears_opens_and_then_keeps_its_rate() -> None:
    exchange = Counter()
    run_for(0.502, exchange)
    assert {method for method, _ in exchange.asked[:6]} == {"openOrders.cancelAll"}
    assert {method for method, _ in exchange.asked[6:38]} == {"order.place"}
    assert len(exchange.asked) - 38 == 101


def test_refusals_do_not_stop_the_crowd() -> None:
    exchange = Counter(AskRefused(-2010, "Account has insufficient balance for requested action."))
    run_for(0.302, exchange)
    assert len(exchange.asked) - 38 == 61


def test_an_exchange_out_of_service_makes_the_crowd_wait() -> None:
    exchange = Counter(OutOfService("the ledger is away"), every=1)
    run_for(0.6, exchange)
    assert len(exchange.asked) == 2


async def test_the_crowds_process_tells_on_its_admin_port_that_it_found_no_exchange(tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({str(account): ["key", "secret"] for account in ACCOUNTS}))
    port = free_port()
    settings = ClientSettings(keys_file=str(keys), exchange_url="http://127.0.0.1:1", admin_port=port, pod="simulate-0")
    told: list[str] = []
    running = asyncio.create_task(Simulate(settings, told.append).run())
    try:
        async with asyncio.timeout(30), httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            while not told:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            assert "The crowd waits for http://127.0.0.1:1" in told[0]
            assert (await client.get("/livez")).status_code == 200
            unready = await client.get("/readyz")
            assert (unready.status_code, unready.text) == (503, "The exchange was not found yet.")
            assert (await client.get("/v1/status")).json()["pod"] == "simulate-0"
            assert "outcry_build_info" in (await client.get("/metrics")).text
    finally:
        running.cancel()
        await asyncio.wait([running])
