"""The port Shared: volatile state with an end. Time passes by hand, on a real Redis too."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from itertools import accumulate

import pytest

from outcry.adapters import memory
from outcry.adapters.breaker import REST_SECONDS
from outcry.adapters.memory import MemoryShared
from outcry.adapters.redis import RedisShared
from outcry.adapters.redis import shared as shared_module
from outcry.adapters.redis.client import connect
from outcry.adapters.redis.keys import Keys
from outcry.ports import Barred, OutOfService, Shared, Spending
from tests.support.kafka import component
from tests.support.lonely import lonely_redis

NONCE_MS = 2_000  # no longer than the tests' Redis may have been running


class Clockwork:
    """Milliseconds that a test moves."""

    def __init__(self) -> None:
        self.ms = 1000

    def __call__(self) -> int:
        return self.ms

    async def pass_ms(self, ms: int) -> None:
        self.ms += ms


class OnRedis:
    """Takes from what Redis' keys have left to live, as if time had passed: the test need not wait, nor be quick."""

    def __init__(self, prefix: str) -> None:
        self._client = connect(component("OUTCRY_REDIS_STATE"), 10)
        self._prefix = prefix

    async def pass_ms(self, ms: int) -> None:
        async for key in self._client.scan_iter(f"{self._prefix}*", count=1_000):
            left_ms = await self._client.pttl(key)
            if left_ms >= 0:
                await self._client.pexpire(key, left_ms - ms)  # what has nothing left is gone

    async def remember(self) -> None:
        """As a Redis that has forgotten nothing since it runs."""
        await self._client.set(Keys(self._prefix).born, 1)

    async def close(self) -> None:
        await self._client.aclose()


@dataclass
class Kept:
    """A kept port, and how to let time pass for it."""

    shared: Shared
    pass_ms: Callable[[int], Awaitable[None]]

    async def after(self, ms: int) -> Shared:
        await self.pass_ms(ms)
        return self.shared


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Redis that runs answers, however late; one that was killed refuses at once."""
    monkeypatch.setattr(shared_module, "TIMEOUT_SECONDS", 30.0)


@pytest.fixture(params=["memory", "redis"])
async def kept(request: pytest.FixtureRequest) -> AsyncIterator[Kept]:
    if request.param == "memory":
        clockwork = Clockwork()
        yield Kept(MemoryShared(clockwork), clockwork.pass_ms)
        return
    prefix = f"test-{secrets.token_hex(6)}:"
    shared, clock = RedisShared(component("OUTCRY_REDIS_STATE"), prefix=prefix), OnRedis(prefix)
    try:
        await clock.remember()
        await grown(shared, NONCE_MS)
        yield Kept(shared, clock.pass_ms)
    finally:
        await clock.close()
        await shared.close()


async def grown(shared: RedisShared, ttl_ms: int) -> None:
    """Waits until Redis is sure that it knows all first uses of the last ``ttl_ms``."""
    async with asyncio.timeout(30):
        while True:
            try:
                await shared.first_use(secrets.token_hex(6), ttl_ms)
                return
            except OutOfService:
                await asyncio.sleep(0.05)


async def spent(shared: Shared, cost: int, key: str = "k", window_ms: int = 60_000) -> tuple[int, int]:
    """What a window of ten holds after a spending, and how long it goes on."""
    (found,) = await shared.spend([Spending(key, cost, 10, window_ms)])
    return found


def used(found: list[tuple[int, int]]) -> list[int]:
    return [count for count, _ in found]


async def test_a_window_counts_up_and_says_when_it_ends(kept: Kept) -> None:
    # Beside the time by hand a real Redis' own runs on: what is left is bounded from above.
    count, left_ms = await spent(kept.shared, 5)
    assert count == 5 and 30_000 < left_ms <= 60_000
    count, left_ms = await spent(await kept.after(10_000), 7)
    assert count == 12 and 20_000 < left_ms <= 50_000
    count, left_ms = await spent(kept.shared, 1, "other")
    assert count == 1 and 30_000 < left_ms <= 60_000
    count, left_ms = await spent(await kept.after(50_000), 1)
    assert count == 1 and 30_000 < left_ms <= 60_000


async def test_nothing_is_spent_behind_a_limit_that_is_passed(kept: Kept) -> None:
    week_ms = 7 * 86_400_000
    wanted = [Spending("a", 3, 10, 60_000), Spending("b", 1, 2, 60_000), Spending("c", 1, 10, week_ms)]
    found = [await kept.shared.spend(wanted) for _ in range(4)]
    assert [used(each) for each in found] == [[3, 1, 1], [6, 2, 2], [9, 3], [12]]
    assert week_ms - 5_000 < found[0][2][1] <= week_ms
    looked = await kept.shared.spend([each._replace(cost=0, limit=1 << 53) for each in wanted])
    assert used(looked) == [12, 3, 2]


async def test_what_bars_a_spending_is_told_and_nothing_is_spent(kept: Kept) -> None:
    wanted = [Spending("a", 1, 10, 60_000), Spending("b", 1, 10, 60_000)]
    assert used(await kept.shared.spend(wanted, unless="ban")) == [1, 1]
    await kept.shared.put("ban", "1700000000000", 60_000)
    with pytest.raises(Barred, match="1700000000000"):
        await kept.shared.spend(wanted, unless="ban")
    assert used(await kept.shared.spend(wanted)) == [2, 2]
    await kept.shared.delete("ban")
    assert used(await kept.shared.spend(wanted, unless="ban")) == [3, 3]


async def test_many_who_spend_at_once_each_learn_their_own_count(kept: Kept) -> None:
    await kept.shared.put("ban", "1", 60_000)

    async def spend(number: int) -> list[int]:
        bar = "ban" if number % 10 == 0 else "no ban"
        own = [Spending("all", 1, 1_000, 60_000), Spending(f"own {number % 7}", number, 1 << 40, 60_000)]
        try:
            return used(await kept.shared.spend(own[: 1 + number % 2], unless=bar))
        except Barred:
            return []

    found = await asyncio.gather(*(spend(number) for number in range(700)))
    assert [number for number, counts in enumerate(found) if not counts] == list(range(0, 700, 10))
    assert sorted(counts[0] for counts in found if counts) == list(range(1, 631))
    twice = [[number, *counts[1:]] for number, counts in enumerate(found) if len(counts) > 1]
    assert len(twice) == 350
    for own in range(7):
        sums = [count for number, count in twice if number % 7 == own]
        assert sums == list(accumulate(number for number, _ in twice if number % 7 == own))


async def test_all_who_spend_while_redis_is_asked_are_counted_by_one_call(caplog: pytest.LogCaptureFixture) -> None:
    async with lonely_redis() as redis:
        shared = RedisShared(redis.url)
        await spent(shared, 1)
        redis.command("CONFIG", "RESETSTAT")
        first = [asyncio.create_task(spent(shared, 1)) for _ in range(400)]
        await asyncio.sleep(0)
        later = [asyncio.create_task(spent(shared, 1)) for _ in range(400)]
        counts = [count for count, _ in await asyncio.gather(*first, *later)]
        assert sorted(counts) == list(range(2, 802))
        assert redis.command("INFO", "commandstats")["cmdstat_evalsha"]["calls"] == 2
        await shared.close()
    assert not caplog.records


async def test_who_finds_too_many_waiting_is_counted_in_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("outcry.adapters.redis.shared.MAX_WAITING", 5)
    async with lonely_redis() as redis:
        shared = RedisShared(redis.url)
        counts = [count for count, _ in await asyncio.gather(*(spent(shared, 1) for _ in range(8)))]
        assert counts == [1, 2, 3, 4, 5, 1, 2, 3]
        await shared.close()


async def test_a_nonce_is_used_once_within_its_time(kept: Kept) -> None:
    assert await kept.shared.first_use("n", NONCE_MS)
    assert not await kept.shared.first_use("n", NONCE_MS)
    assert await (await kept.after(NONCE_MS)).first_use("n", NONCE_MS)


async def test_only_one_of_many_uses_at_once_is_the_first(kept: Kept) -> None:
    uses = await asyncio.gather(*(kept.shared.first_use("n", NONCE_MS) for _ in range(20)))
    assert sum(uses) == 1


async def test_a_value_is_there_until_it_expires_or_is_deleted(kept: Kept) -> None:
    shared = kept.shared
    await shared.put("k", "v", 60_000)
    assert await shared.get("k") == "v"
    await kept.after(30_000)
    assert await shared.touch("k", 60_000)
    await kept.after(40_000)
    assert await shared.get("k") == "v"
    await kept.after(20_000)
    assert await shared.get("k") is None
    assert not await shared.touch("k", 100)
    assert not await shared.delete("k")
    await shared.put("k", "w", 60_000)
    assert await shared.delete("k")
    assert await shared.get("k") is None


async def test_memory_is_bounded_and_what_ends_first_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MAX_ENTRIES", 100)
    monkeypatch.setattr(memory, "SPARE_ENTRIES", 10)
    shared = MemoryShared()
    await shared.put("late", "v", 10_000_000)
    for n in range(250):
        await shared.put(f"k{n}", "v", 100_000 + n)
    assert await shared.get("late") == "v"
    assert await shared.get("k0") is None
    assert await shared.get("k249") == "v"


async def test_without_redis_limits_go_on_in_the_process_and_all_else_is_out_of_service() -> None:
    async with lonely_redis(keeps=True) as redis:
        shared = RedisShared(redis.url)
        assert (await spent(shared, 3))[0] == 3
        await shared.put("ban", "1", 60_000)
        redis.kill()
        assert [(await spent(shared, 1))[0] for _ in range(10)] == list(range(1, 11))
        assert used(await shared.spend([Spending("k", 1, 10, 60_000)], unless="ban")) == [11]
        for asked in (shared.first_use("n", 1), shared.get("k"), shared.put("k", "v", 1), shared.delete("k")):
            with pytest.raises(OutOfService):
                await asked
        redis.start()
        async with asyncio.timeout(30 * REST_SECONDS):
            while (await spent(shared, 0))[0] != 3:  # noqa: ASYNC110
                await asyncio.sleep(REST_SECONDS / 10)
        await shared.put("k2", "v", 60_000)
        await shared.close()


async def test_a_redis_that_may_have_forgotten_takes_no_nonce() -> None:
    async with lonely_redis(keeps=True) as redis:
        shared = RedisShared(redis.url)
        with pytest.raises(OutOfService):
            await shared.first_use("n", NONCE_MS)
        await grown(shared, NONCE_MS)
        assert await shared.first_use("n", NONCE_MS)
        redis.command("FLUSHALL")
        with pytest.raises(OutOfService):
            await shared.first_use("n", NONCE_MS)
        redis.command("SET", "born", "1")
        redis.kill()
        redis.start()
        with pytest.raises(OutOfService):
            await shared.first_use("m", NONCE_MS)
        await shared.close()
