"""The port Shared: volatile state with an end. Times are short, for a real Redis lets them pass."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from outcry.adapters import memory
from outcry.adapters.breaker import REST_SECONDS
from outcry.adapters.memory import MemoryShared
from outcry.adapters.redis import RedisShared
from outcry.ports import OutOfService, Shared
from tests.support.kafka import component
from tests.support.lonely import lonely_redis


class Clockwork:
    """Milliseconds that a test moves."""

    def __init__(self) -> None:
        self.ms = 1000

    def __call__(self) -> int:
        return self.ms


@dataclass
class Kept:
    """A kept port, and how to let time pass for it."""

    shared: Shared
    clock: Clockwork | None = None

    async def after(self, ms: int) -> Shared:
        if self.clock is None:
            await asyncio.sleep(ms / 1000)
        else:
            self.clock.ms += ms
        return self.shared


@pytest.fixture(params=["memory", "redis"])
async def kept(request: pytest.FixtureRequest) -> AsyncIterator[Kept]:
    if request.param == "memory":
        clock = Clockwork()
        yield Kept(MemoryShared(clock), clock)
        return
    shared = RedisShared(component("OUTCRY_REDIS_STATE"), prefix=f"test-{secrets.token_hex(6)}:")
    try:
        await grown(shared)
        yield Kept(shared)
    finally:
        await shared.close()


async def grown(shared: RedisShared, ttl_ms: int = 300) -> None:
    """Waits until Redis is sure that it knows all first uses of the last ``ttl_ms``."""
    async with asyncio.timeout(10):
        while True:
            try:
                await shared.first_use(secrets.token_hex(6), ttl_ms)
                return
            except OutOfService:
                await asyncio.sleep(0.05)


async def test_a_window_counts_up_and_says_when_it_ends(kept: Kept) -> None:
    used, left_ms = await kept.shared.spend("k", 5, 10, 400)
    assert used == 5 and 300 < left_ms <= 400
    used, left_ms = await (await kept.after(100)).spend("k", 7, 10, 400)
    assert used == 12 and 100 < left_ms <= 300
    used, left_ms = await kept.shared.spend("other", 1, 10, 400)
    assert used == 1 and 300 < left_ms <= 400
    used, left_ms = await (await kept.after(300)).spend("k", 1, 10, 400)
    assert used == 1 and 300 < left_ms <= 400


async def test_a_nonce_is_used_once_within_its_time(kept: Kept) -> None:
    assert await kept.shared.first_use("n", 200)
    assert not await kept.shared.first_use("n", 200)
    assert await (await kept.after(200)).first_use("n", 200)


async def test_only_one_of_many_uses_at_once_is_the_first(kept: Kept) -> None:
    uses = await asyncio.gather(*(kept.shared.first_use("n", 200) for _ in range(20)))
    assert sum(uses) == 1


async def test_a_value_is_there_until_it_expires_or_is_deleted(kept: Kept) -> None:
    shared = kept.shared
    await shared.put("k", "v", 300)
    assert await shared.get("k") == "v"
    await kept.after(150)
    assert await shared.touch("k", 300)
    await kept.after(200)
    assert await shared.get("k") == "v"
    await kept.after(100)
    assert await shared.get("k") is None
    assert not await shared.touch("k", 100)
    assert not await shared.delete("k")
    await shared.put("k", "w", 1_000)
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
        assert (await shared.spend("k", 3, 10, 60_000))[0] == 3
        redis.kill()
        assert [(await shared.spend("k", 1, 10, 60_000))[0] for _ in range(10)] == list(range(1, 11))
        for asked in (shared.first_use("n", 1), shared.get("k"), shared.put("k", "v", 1), shared.delete("k")):
            with pytest.raises(OutOfService):
                await asked
        redis.start()
        await asyncio.sleep(REST_SECONDS)
        assert (await shared.spend("k", 1, 10, 60_000))[0] == 4
        await shared.put("k2", "v", 60_000)
        await shared.close()


async def test_a_redis_that_may_have_forgotten_takes_no_nonce() -> None:
    async with lonely_redis(keeps=True) as redis:
        shared = RedisShared(redis.url)
        with pytest.raises(OutOfService):
            await shared.first_use("n", 1_500)
        await grown(shared, 1_500)
        assert await shared.first_use("n", 1_500)
        redis.command("FLUSHALL")
        with pytest.raises(OutOfService):
            await shared.first_use("n", 1_500)
        await grown(shared, 1_500)
        redis.command("SET", "born", "1")
        redis.kill()
        redis.start()
        with pytest.raises(OutOfService):
            await shared.first_use("m", 1_500)
        await shared.close()
