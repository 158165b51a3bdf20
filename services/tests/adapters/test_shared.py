"""The port Shared: volatile state with an end."""

import pytest

from outcry.adapters import memory
from outcry.adapters.memory import MemoryShared
from outcry.ports import Shared


class Clockwork:
    """Milliseconds that a test moves."""

    def __init__(self) -> None:
        self.ms = 1000

    def __call__(self) -> int:
        return self.ms


@pytest.fixture
def clock() -> Clockwork:
    return Clockwork()


@pytest.fixture(params=["memory"])
def shared(clock: Clockwork) -> Shared:
    return MemoryShared(clock)


async def test_a_window_counts_up_and_says_when_it_ends(shared: Shared, clock: Clockwork) -> None:
    assert await shared.spend("k", 5, 10, 60_000) == (5, 60_000)
    clock.ms += 1_000
    assert await shared.spend("k", 7, 10, 60_000) == (12, 59_000)
    assert await shared.spend("other", 1, 10, 60_000) == (1, 60_000)
    clock.ms += 59_000
    assert await shared.spend("k", 1, 10, 60_000) == (1, 60_000)


async def test_a_nonce_is_used_once_within_its_time(shared: Shared, clock: Clockwork) -> None:
    assert await shared.first_use("n", 100)
    assert not await shared.first_use("n", 100)
    clock.ms += 100
    assert await shared.first_use("n", 100)


async def test_a_value_is_there_until_it_expires_or_is_deleted(shared: Shared, clock: Clockwork) -> None:
    await shared.put("k", "v", 100)
    assert await shared.get("k") == "v"
    clock.ms += 99
    assert await shared.touch("k", 100)
    clock.ms += 99
    assert await shared.get("k") == "v"
    clock.ms += 1
    assert await shared.get("k") is None
    assert not await shared.touch("k", 100)
    assert not await shared.delete("k")
    await shared.put("k", "w", 100)
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
