"""Which accounts somebody listens to: pods say so in Redis for a while and again, engines remember it as long."""

import asyncio
import logging
from typing import Any, Final

import msgspec

from outcry.adapters.redis import scripts
from outcry.adapters.redis.channels import Channels
from outcry.adapters.redis.client import TROUBLE, connect, end
from outcry.adapters.redis.keys import Keys

FOLLOW_SECONDS: Final = 30.0  # after its last refresh an account is followed no longer
REFRESH_SECONDS: Final = 5.0
TIMEOUT_SECONDS: Final = 1.0
RETRY_SECONDS: Final = 0.2

log = logging.getLogger(__name__)

_encode: Final = msgspec.msgpack.Encoder().encode
_accounts: Final[msgspec.msgpack.Decoder[list[int]]] = msgspec.msgpack.Decoder(list[int])


class Follower:
    """A pod's side: keeps its accounts in Redis."""

    def __init__(self, url: str, keys: Keys, seconds: float = FOLLOW_SECONDS) -> None:
        self._client = connect(url, TIMEOUT_SECONDS)
        self._keys = keys
        self._seconds = seconds
        self._accounts: dict[int, None] = {}
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Refreshes from now on."""
        self._task = asyncio.create_task(self._refresh())

    async def close(self) -> None:
        """Leaves; the accounts are forgotten when their time is over."""
        await end(self._task)
        await self._client.aclose()

    def follow(self, account_id: int) -> None:
        self._accounts[account_id] = None
        self._news.set()

    def leave(self, account_id: int) -> None:
        self._accounts.pop(account_id, None)

    def again(self) -> None:
        """Says everything once more: Redis may have forgotten it."""
        self._news.set()

    async def _refresh(self) -> None:
        while True:
            self._news.clear()
            if self._accounts:
                try:
                    await self._say()
                except TROUBLE as trouble:
                    log.warning("The followed accounts cannot be told: %s", trouble)
                    await asyncio.sleep(RETRY_SECONDS)
                    continue
            try:
                await asyncio.wait_for(self._news.wait(), min(REFRESH_SECONDS, self._seconds / 6))
            except TimeoutError:
                continue

    async def _say(self) -> None:
        milliseconds = int(self._seconds * 1000)
        await scripts.FOLLOW.run(
            self._client, (self._keys.followed,), self._keys.follow, milliseconds, _encode(list(self._accounts))
        )


class Followed:
    """An engine's side: the accounts that anyone follows, as far as it has heard."""

    def __init__(self, url: str, keys: Keys, seconds: float = FOLLOW_SECONDS) -> None:
        self._client = connect(url, TIMEOUT_SECONDS)
        self._channels = Channels(url, self._hear, self._read_later)
        self._keys = keys
        self._seconds = seconds
        self._until: dict[int, float] = {}  # on the loop's clock
        self._swept = 0.0
        self._reading: asyncio.Task[None] | None = None

    def __contains__(self, account_id: int) -> bool:
        until = self._until.get(account_id)
        return until is not None and until > asyncio.get_running_loop().time()

    async def start(self) -> None:
        """Listens from now on."""
        await self._channels.start([self._keys.follow])

    async def close(self) -> None:
        """Listens no longer."""
        await self._channels.close()
        await end(self._reading)
        await self._client.aclose()

    def _hear(self, _: bytes, message: bytes) -> None:
        self._note(_accounts.decode(message))

    def _note(self, accounts: list[int]) -> None:
        now = asyncio.get_running_loop().time()
        self._until.update(dict.fromkeys(accounts, now + self._seconds))
        if now - self._swept > self._seconds:
            self._swept = now
            self._until = {account: until for account, until in self._until.items() if until > now}

    def _read_later(self) -> None:
        """What was said before this engine listened stands in Redis."""
        if self._reading is not None:
            self._reading.cancel()
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        while True:
            try:
                known: list[Any] = await self._client.zrange(self._keys.followed, 0, -1)
            except TROUBLE as trouble:
                log.warning("The followed accounts cannot be read: %s", trouble)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                self._note([int(account) for account in known])
                return
