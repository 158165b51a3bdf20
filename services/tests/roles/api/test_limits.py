"""What is used is told on every response; what is too much is refused in time."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from outcry.ports import Spending
from outcry.roles.api.errors import Refusal
from outcry.roles.api.limits import BAN_AFTER, Limit, Spent, announced, ietf_headers, rate_limits
from tests.support.gated import ACCOUNT, Gated, gated


@pytest.fixture
async def strict(tmp_path: Path) -> AsyncIterator[Gated]:
    async with gated(tmp_path, limits="binance") as running:
        yield running


@pytest.fixture
async def free(tmp_path: Path) -> AsyncIterator[Gated]:
    async with gated(tmp_path, limits="off") as running:
        yield running


async def test_every_response_tells_the_used_weight(strict: Gated) -> None:
    used = []
    for path in ("/api/v3/ping", "/api/v3/depth?symbol=BTCUSD", "/api/v3/depth", "/api/v3/nothing", "/api/v3/account"):
        answer = await strict.ask("GET", path)
        assert answer.headers["x-mbx-used-weight"] == answer.headers["x-mbx-used-weight-1m"]
        used.append(int(answer.headers["x-mbx-used-weight"]))
    assert used == [1, 6, 7, 8, 9]


async def test_a_deep_book_weighs_more(strict: Gated) -> None:
    answer = await strict.ask("GET", "/api/v3/depth", "symbol=BTCUSD&limit=5000")
    assert answer.headers["x-mbx-used-weight-1m"] == "250"


async def test_too_much_weight_is_429_with_the_time_to_wait(strict: Gated) -> None:
    await strict.gate.limits.weigh("127.0.0.1", 6_000)
    answer = await strict.ask("GET", "/api/v3/ping")
    assert answer.status_code == 429
    assert answer.json() == {
        "code": -1003,
        "msg": "Too much request weight used; current limit is 6000 request weight per 1 MINUTE. "
        "Please use WebSocket Streams for live updates to avoid polling the API.",
    }
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert answer.headers["x-mbx-used-weight-1m"] == "6001"


async def test_who_goes_on_after_429_is_banned_with_418(strict: Gated) -> None:
    await strict.gate.limits.weigh("127.0.0.1", 6_000)
    for _ in range(BAN_AFTER):
        assert (await strict.ask("GET", "/api/v3/ping")).status_code == 429
    answer = await strict.ask("GET", "/api/v3/ping")
    assert (answer.status_code, answer.json()["code"]) == (418, -1003)
    assert answer.json()["msg"].startswith("Way too much request weight used; IP banned until ")
    assert 60 < int(answer.headers["retry-after"]) <= 120


async def test_orders_are_counted_on_their_answers(strict: Gated) -> None:
    answers = [await strict.order() for _ in range(2)]
    counts = [(a.headers["x-mbx-order-count-10s"], a.headers["x-mbx-order-count-1d"]) for a in answers]
    assert counts == [("1", "1"), ("2", "2")]
    assert "x-mbx-order-count-10s" not in (await strict.ask("GET", "/api/v3/ping")).headers


async def test_too_many_orders_are_429(strict: Gated) -> None:
    await strict.gate.limits.count_orders(ACCOUNT, 50)
    answer = await strict.order()
    assert (answer.status_code, answer.json()) == (
        429, {"code": -1015, "msg": "Too many new orders; current limit is 50 orders per 10 SECOND."},
    )  # fmt: skip
    assert int(answer.headers["retry-after"]) <= 10
    assert "x-mbx-used-weight-1m" in answer.headers


async def test_too_many_orders_of_a_day_are_429_and_say_so(strict: Gated) -> None:
    counts = Spending(f"orders1d:{ACCOUNT}", 160_000, 1 << 53, 86_400_000)
    await strict.venue.shared.spend([counts])
    answer = await strict.order()
    assert (answer.status_code, answer.json()["msg"]) == (
        429, "Too many new orders; current limit is 160000 orders per 1 DAY.",
    )  # fmt: skip
    assert answer.headers["x-mbx-order-count-1d"] == "160001"
    assert "x-mbx-order-count-10s" not in answer.headers
    assert int(answer.headers["retry-after"]) > 86_000


async def test_what_an_earlier_limit_refuses_is_not_counted_by_a_later_one(strict: Gated) -> None:
    await strict.gate.limits.weigh("127.0.0.1", 6_000)
    assert (await strict.order()).json()["code"] == -1003
    assert [spent.used for spent in await strict.gate.limits.count_orders(ACCOUNT, 0)] == [0, 0]
    with pytest.raises(Refusal):
        await strict.gate.limits.count_orders(ACCOUNT, 51)
    assert [spent.used for spent in await strict.gate.limits.count_orders(ACCOUNT, 0)] == [51, 0]


async def test_a_banned_address_spends_nothing(strict: Gated) -> None:
    until_ms = strict.clock.now_ms() + 60_000
    await strict.venue.shared.put("ban:127.0.0.1", str(until_ms), 120_000)
    assert (await strict.order()).status_code == 418
    strict.clock.us += 60_000_000
    answer = await strict.order()
    assert (answer.status_code, answer.headers["x-mbx-used-weight"]) == (200, "1")


async def test_a_batch_counts_every_order_in_it(strict: Gated) -> None:
    body = b'{"orders":[{},{},{}]}'
    answer = await strict.ask("POST", "/v1/orders:batch", strict.signed("", body), content=body)
    assert answer.headers["x-mbx-order-count-10s"] == "3"


async def test_native_answers_carry_the_ietf_headers(strict: Gated) -> None:
    answer = await strict.ask("GET", "/v1/trades")
    assert answer.headers["ratelimit-policy"] == '"weight";q=6000;w=60'
    assert answer.headers["ratelimit"].startswith('"weight";r=5999;t=')
    assert "ratelimit" not in (await strict.ask("GET", "/api/v3/ping")).headers


async def test_limits_that_are_off_count_and_refuse_nothing(free: Gated) -> None:
    await free.gate.limits.weigh("127.0.0.1", 100_000_000)
    await free.gate.limits.count_orders(ACCOUNT, 100_000_000)
    answer = await free.order()
    assert (answer.status_code, answer.headers["x-mbx-order-count-10s"]) == (200, "100000001")


def test_the_ietf_headers_round_up_and_never_go_below_zero() -> None:
    spent = [Spent(Limit("ORDERS", "SECOND", 10, 100), 113, 3_001), Spent(Limit("ORDERS", "DAY", 1, 5), 1, 1)]
    assert ietf_headers(spent) == [
        (b"ratelimit-policy", b'"orders";q=100;w=10'), (b"ratelimit", b'"orders";r=0;t=4'),
    ]  # fmt: skip


def test_websocket_answers_list_orders_before_weight() -> None:
    weight, orders = Spent(Limit("REQUEST_WEIGHT", "MINUTE", 1, 6000), 7, 1), Spent(Limit("ORDERS", "DAY", 1, 9), 2, 1)
    assert rate_limits([weight, orders]) == [
        {"rateLimitType": "ORDERS", "interval": "DAY", "intervalNum": 1, "limit": 9, "count": 2},
        {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000, "count": 7},
    ]


def test_exchange_info_announces_binances_numbers() -> None:
    assert [(each["rateLimitType"], each["limit"]) for each in announced("binance")] == [
        ("REQUEST_WEIGHT", 6000), ("ORDERS", 50), ("ORDERS", 160_000),
    ]  # fmt: skip
