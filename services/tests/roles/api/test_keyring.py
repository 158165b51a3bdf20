"""Live credentials: seldom read, never older than promised, and read together."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from outcry.ports import OutOfService
from outcry.roles.api.errors import Refusal
from outcry.roles.api.vault import FRESH_MS, RENEWED_MS, STALE_MS, KeyRing, Vault
from outcry.rows import AccountRow, KeyRow
from tests.support.gated import ACCOUNT, KEY, SECRET, Gated, gated

NAMES = [f"trader-key-{number}" for number in range(50)]
VAULT = Vault(b"m" * 32)


class Book:
    """The ledger's keys; what was asked for is noted, and it can be cut off."""

    def __init__(self, front: Gated) -> None:
        self._ledger = front.store.ledger
        self.asked: list[list[str]] = []
        self.is_cut_off = False

    async def credentials(self, api_keys: Sequence[str]) -> list[tuple[KeyRow, AccountRow]]:
        self.asked.append(list(api_keys))
        if self.is_cut_off:
            raise OutOfService("cut off")
        return await self._ledger.credentials(api_keys)


class Desk:
    """A key ring, its book, and a clock that the test moves."""

    def __init__(self, front: Gated) -> None:
        self.front = front
        self.book = Book(front)
        self.ring = KeyRing(self.book, VAULT, front.clock)

    async def use(self, *names: str, after_ms: int = 0) -> list[str]:
        """Uses keys a while later, and lets what goes on besides come to an end; returns the secrets found."""
        self.front.clock.us += after_ms * 1000
        found = [await self.ring.find(name) for name in names]
        for _ in range(20):
            await asyncio.sleep(0.001)
        return [each.secret.decode() if each else "" for each in found]


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with gated(tmp_path) as front:
        for name in NAMES:
            row = KeyRow(name, ACCOUNT, "HMAC", VAULT.seal(name.encode(), name), "trade", "", 1, 0, 0)
            await front.store.ledger.create_key(row, "test")
        yield Desk(front)


async def test_keys_that_are_asked_for_together_are_read_together(desk: Desk) -> None:
    found = await asyncio.gather(*(desk.ring.find(name) for name in [*NAMES, "nobodys-key-1", NAMES[0]]))
    assert [each.secret.decode() if each else "" for each in found] == [*NAMES, "", NAMES[0]]
    assert [sorted(names) for names in desk.book.asked] == [sorted([*NAMES, "nobodys-key-1"])]


async def test_keys_that_came_one_by_one_are_soon_read_together(desk: Desk) -> None:
    for name in NAMES:
        await desk.use(name, after_ms=2)
    assert len(desk.book.asked) == len(NAMES)
    for _ in range(100):
        assert await desk.use(*NAMES, after_ms=RENEWED_MS // 10) == NAMES
    assert len(desk.book.asked) <= len(NAMES) + 12
    assert [sorted(names) for names in desk.book.asked[-5:]] == [sorted(NAMES)] * 5


async def test_a_key_in_use_is_read_ahead_and_nobody_waits_for_it(desk: Desk) -> None:
    await desk.use(KEY)
    assert await desk.use(KEY, after_ms=RENEWED_MS - 1) == [SECRET]
    assert len(desk.book.asked) == 1
    desk.book.is_cut_off = True
    assert await desk.use(KEY, after_ms=1) == [SECRET]
    assert len(desk.book.asked) == 2
    desk.book.is_cut_off = False
    await desk.use(KEY, after_ms=1)
    assert await desk.use(KEY, after_ms=RENEWED_MS - 1) == [SECRET]
    assert len(desk.book.asked) == 3


async def test_a_revoked_key_is_known_once_it_is_no_longer_fresh(desk: Desk) -> None:
    await desk.use(KEY)
    await desk.front.store.ledger.revoke_key(KEY, 7, "test")
    desk.front.clock.us += FRESH_MS * 1000
    found = await desk.ring.find(KEY)
    assert found is not None and found.key.revoked_ms == 7


async def test_a_frozen_account_is_known_once_it_is_no_longer_fresh(desk: Desk) -> None:
    await desk.use(KEY)
    await desk.front.store.ledger.freeze_account(ACCOUNT, True, "test")
    await desk.use(KEY, after_ms=RENEWED_MS)
    found = await desk.ring.find(KEY)
    assert found is not None and found.account.frozen


async def test_what_is_known_is_used_for_a_while_without_the_ledger(desk: Desk) -> None:
    await desk.use(KEY)
    desk.book.is_cut_off = True
    assert await desk.use(KEY, after_ms=STALE_MS - 1) == [SECRET]
    with pytest.raises(Refusal) as caught:
        await desk.use(KEY, after_ms=1)
    assert caught.value.code == -1008


async def test_an_unknown_key_is_remembered_as_such(desk: Desk) -> None:
    assert await desk.use("nobodys-key-1", "nobodys-key-1", after_ms=1) == ["", ""]
    assert desk.book.asked == [["nobodys-key-1"]]


async def test_what_was_forgotten_while_it_was_read_is_read_again(desk: Desk) -> None:
    reading = asyncio.create_task(desk.ring.find(KEY))
    for _ in range(5):
        await asyncio.sleep(0)
    assert desk.book.asked == [[KEY]]
    desk.ring.forget(KEY)
    await reading
    await desk.use(KEY)
    assert desk.book.asked == [[KEY], [KEY]]
