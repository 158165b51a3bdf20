"""Volatile state common to all pods, in a Redis of its own; what has to go on without it goes on in this process."""

import asyncio
import logging
from collections.abc import Awaitable
from typing import Any, Final

from outcry.adapters.memory import MemoryShared
from outcry.adapters.redis import scripts
from outcry.adapters.redis.client import TROUBLE, connect
from outcry.adapters.redis.keys import Keys
from outcry.ports import OutOfService

TIMEOUT_SECONDS: Final = 0.5
LOCAL_SECONDS: Final = 1.0  # after trouble, limits are counted here for so long before Redis is asked again

log = logging.getLogger(__name__)


class RedisShared:
    """Keeps ``ports.Shared``. Raises OutOfService while Redis is down, except for ``spend``, which counts here."""

    def __init__(self, url: str, *, prefix: str = "") -> None:
        self._client = connect(url, TIMEOUT_SECONDS)
        self._keys = Keys(prefix)
        self._local = MemoryShared()
        self._local_until = 0.0  # on the loop's clock

    async def close(self) -> None:
        """Lets go of the connections."""
        await self._client.aclose()

    async def spend(self, key: str, cost: int, limit: int, window_ms: int) -> tuple[int, int]:
        """Counts by this process alone while Redis is down: a limit is then one of each pod."""
        now = asyncio.get_running_loop().time()
        if now >= self._local_until:
            try:
                used, left_ms = await scripts.SPEND.run(self._client, (self._keys.shared(key),), cost, window_ms)
                return used, left_ms
            except TROUBLE as trouble:
                log.warning("Limits are counted by this process alone: %s", trouble)
                self._local_until = now + LOCAL_SECONDS
        return await self._local.spend(key, cost, limit, window_ms)

    async def first_use(self, key: str, ttl_ms: int) -> bool:
        """Raises OutOfService, too, while Redis is younger than ``ttl_ms``: it may have forgotten the first use."""
        keys = (self._keys.shared(key), self._keys.born)
        taken = await _ask(scripts.FIRST_USE.run(self._client, keys, ttl_ms))
        if taken < 0:
            raise OutOfService("what was used before may be forgotten; in a while it cannot be")
        return bool(taken)

    async def put(self, key: str, value: str, ttl_ms: int) -> None:
        await _ask(self._client.set(self._keys.shared(key), value, px=ttl_ms))

    async def get(self, key: str) -> str | None:
        found = await _ask(self._client.get(self._keys.shared(key)))
        return None if found is None else found.decode()

    async def touch(self, key: str, ttl_ms: int) -> bool:
        return bool(await _ask(self._client.pexpire(self._keys.shared(key), ttl_ms)))

    async def delete(self, key: str) -> bool:
        return bool(await _ask(self._client.delete(self._keys.shared(key))))


async def _ask(question: Awaitable[Any]) -> Any:
    try:
        return await question
    except TROUBLE as trouble:
        raise OutOfService(f"Redis cannot be asked: {trouble}") from trouble
