"""How every client of Redis is set up here, and how a script is run whether or not Redis remembers it."""

import asyncio
import hashlib
import ssl
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from redis.asyncio import BlockingConnectionPool, Connection, Redis, SSLConnection
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import NoScriptError, RedisError

TROUBLE: Final = (RedisError, OSError, TimeoutError)  # what a component that cannot be asked looks like

SECURE: Final = "rediss"  # the scheme of Redis over TLS
MAX_CONNECTIONS: Final = 16  # of one client; whoever finds them all busy waits as for an answer
END_SECONDS: Final = 0.2  # before a task that was canceled is canceled again

Word = str | bytes | int


async def end(*tasks: "asyncio.Task[None] | None") -> None:
    """Cancels tasks until they have ended: a cancellation that comes in the moment of a timeout is lost."""
    while running := [task for task in tasks if task is not None and not task.done()]:
        for task in running:
            task.cancel()
        await asyncio.wait(running, timeout=END_SECONDS)


def connect(url: str, timeout_seconds: float) -> Redis:
    """A client that tries once: whoever asks knows better whether a second time makes sense."""
    pool = BlockingConnectionPool.from_url(
        url, protocol=2, retry=Retry(NoBackoff(), 0), socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds, max_connections=MAX_CONNECTIONS, timeout=timeout_seconds,
    )  # fmt: skip
    pool.connection_class = SecureWire if urlsplit(url).scheme == SECURE else Wire
    return Redis.from_pool(pool)


def trusted_by(url: str) -> ssl.SSLContext:
    """Whom a client believes who asks at ``rediss://...?ssl_ca_certs=FILE``; without a file the system's list."""
    given = parse_qs(urlsplit(url).query).get("ssl_ca_certs", [None])
    return ssl.create_default_context(cafile=given[0])


class _BreaksInOneWay(AbstractConnection):
    """uvloop says RuntimeError where a connection broke before it was written to."""

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        try:
            await super().send_packed_command(command, check_health)
        except RuntimeError as closed:
            raise ConnectionLost(str(closed)) from closed


class Wire(_BreaksInOneWay, Connection):
    """A connection over TCP."""


class SecureWire(_BreaksInOneWay, SSLConnection):
    """A connection over TLS."""


class Script:
    """One Lua script under its hash."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    def call(self, keys: Sequence[str], *args: Word) -> tuple[Word, ...]:
        """The command that runs it, for a pipeline."""
        return ("EVALSHA", self.sha, len(keys), *keys, *args)

    async def run(self, client: Any, keys: Sequence[str], *args: Word) -> Any:
        """Runs it by itself; a Redis that does not know it is told."""
        try:
            return await client.execute_command(*self.call(keys, *args))
        except NoScriptError:
            return await client.execute_command("EVAL", self.text, len(keys), *keys, *args)
