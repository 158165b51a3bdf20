"""Volatile state common to all pods, in a Redis of its own; what has to go on without it goes on in this process."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec

from outcry.adapters.breaker import Breaker
from outcry.adapters.memory import MemoryShared
from outcry.adapters.redis import scripts
from outcry.adapters.redis.client import TROUBLE, connect
from outcry.adapters.redis.keys import Keys
from outcry.ports import Barred, OutOfService, Spending
from outcry.shuttle import Crowded, Shuttle

TIMEOUT_SECONDS: Final = 0.5
MAX_PURCHASES: Final = 512  # that Redis counts in one call
MAX_WAITING: Final = 8_192  # for the call that is under way; beyond it they are counted here

Purchase = tuple[str, Sequence[Spending]]  # what bars it, "" for nothing, and what is spent
Spent = list[int] | str  # used, milliseconds left, used, ...; or what barred it

_spent: Final = msgspec.msgpack.Decoder(list[Spent]).decode

log = logging.getLogger(__name__)


class RedisShared:
    """Keeps ``ports.Shared``. Raises OutOfService while Redis is down, except for ``spend``, which counts here then."""

    def __init__(self, url: str, *, prefix: str = "", breaker: Breaker | None = None) -> None:
        self._client = connect(url, TIMEOUT_SECONDS)
        self._keys = Keys(prefix)
        self._breaker = breaker or Breaker("Redis")
        self._local = MemoryShared()
        self._till = Shuttle(self._spend_together, seats=MAX_PURCHASES, waiting=MAX_WAITING)
        self._alone = False  # whether the last spending was counted here

    async def close(self) -> None:
        """Lets go of the connections."""
        self._till.stop()
        await self._client.aclose()

    async def ping(self) -> None:
        """Raises OutOfService."""
        await self._ask(self._client.ping)

    async def spend(self, spendings: Sequence[Spending], *, unless: str = "") -> list[tuple[int, int]]:
        """While Redis is down, limits are those of each process, and nothing bars."""
        try:
            spent = await self._till.ask((unless, spendings))
        except (OutOfService, Crowded) as trouble:
            if not self._alone:
                log.warning("Limits are counted by this process alone: %s", trouble)
            self._alone = True
            return await self._local.spend(spendings)
        self._alone = False
        if isinstance(spent, str):
            raise Barred(spent)
        return list(zip(spent[::2], spent[1::2], strict=True))

    async def _spend_together(self, purchases: list[Purchase]) -> list[Spent]:
        keys, asked = [], []
        for unless, spendings in purchases:
            if unless:
                keys.append(self._keys.shared(unless))
            keys += [self._keys.shared(each.key) for each in spendings]
            asked.append([int(bool(unless)), *(n for each in spendings for n in each[1:])])
        return _spent(await self._ask(lambda: scripts.SPEND.run(self._client, keys, msgspec.msgpack.encode(asked))))

    async def first_use(self, key: str, ttl_ms: int) -> bool:
        """Raises OutOfService, too, while Redis is younger than ``ttl_ms``: it may have forgotten the first use."""
        keys = (self._keys.shared(key), self._keys.born)
        taken = await self._ask(lambda: scripts.FIRST_USE.run(self._client, keys, ttl_ms))
        if taken < 0:
            raise OutOfService("What was used before may be forgotten; in a while it cannot be.")
        return bool(taken)

    async def put(self, key: str, value: str, ttl_ms: int) -> None:
        await self._ask(lambda: self._client.set(self._keys.shared(key), value, px=ttl_ms))

    async def get(self, key: str) -> str | None:
        found = await self._ask(lambda: self._client.get(self._keys.shared(key)))
        return None if found is None else found.decode()

    async def touch(self, key: str, ttl_ms: int) -> bool:
        return bool(await self._ask(lambda: self._client.pexpire(self._keys.shared(key), ttl_ms)))

    async def delete(self, key: str) -> bool:
        return bool(await self._ask(lambda: self._client.delete(self._keys.shared(key))))

    async def _ask(self, question: Callable[[], Awaitable[Any]]) -> Any:
        """Asks only what the breaker lets through: a question that is not asked is not begun."""
        with self._breaker.attempt():
            try:
                return await question()
            except TROUBLE as trouble:
                raise OutOfService(f"Redis cannot be asked: {trouble}") from trouble
