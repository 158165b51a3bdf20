"""A trade from outside: two orders, the fill over REST, the trade on a stream; and it says what it misses."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from outcry.adapters.clock import SystemClock
from outcry.ports import OutOfService
from outcry.roles import trial
from outcry.roles.trial import Customer, Trial
from outcry.wiring.simulate import demo_keys
from tests.support.inprocess import running
from tests.support.served import served


@pytest.fixture(params=[False, True], ids=["quiet", "crowded"])
async def address(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[str]:
    async with (
        running(tmp_path, simulation_enabled=request.param, simulation_history_hours=0) as (exchange, _),
        served(exchange.app) as address,
    ):
        yield address


def between(api: str, stream: str, told: list[str]) -> Trial:
    buyer, seller = (Customer(f"http://{api}", key, SystemClock()) for key in demo_keys(""))
    return Trial(buyer, seller, f"ws://{stream}", told.append)


async def test_two_orders_at_one_price_fill_and_their_trade_is_on_the_stream(address: str) -> None:
    for _ in range(3):
        told: list[str] = []
        await between(address, address, told).run()
        assert [line.partition(":")[0] for line in told] == ["REST", "REST", "REST", "WebSocket"]
        assert "is filled at" in told[2]


async def test_an_exchange_that_is_not_there_is_named(address: str) -> None:
    with pytest.raises(OutOfService, match=r"http://127.0.0.1:1 cannot be reached"):
        await between("127.0.0.1:1", address, []).run()
    with pytest.raises(OutOfService, match=r"ws://127.0.0.1:1/ws/btcusd@trade gave no trade"):
        await between(address, "127.0.0.1:1", []).run()


async def test_a_key_that_is_none_is_refused(address: str) -> None:
    stranger = Customer(f"http://{address}", ("nobody", "nothing"), SystemClock())
    with pytest.raises(OutOfService, match="POST /api/v3/order is 401"):
        await Trial(stranger, stranger, f"ws://{address}", lambda _: None).run()


async def test_a_stream_without_the_trade_is_no_success(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "TRADE_SECONDS", 1.0)
    deaf = between(address, address, [])
    deaf._stream = deaf._stream.replace("btcusd", "ethusd")
    with pytest.raises(OutOfService, match="told of none of the trades"):
        await deaf.run()
