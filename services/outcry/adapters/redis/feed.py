"""Both halves of the feed on Redis, for a process that plays both roles."""

from outcry.adapters.redis.listener import RedisListener
from outcry.adapters.redis.publisher import RedisPublisher


class RedisFeed:
    """Keeps ``ports.Feed``."""

    forgets = True

    def __init__(self, publisher: RedisPublisher, listener: RedisListener) -> None:
        self.publisher = publisher
        self.listener = listener
        self.publish = publisher.publish
        self.follows = publisher.follows
        self.retire = publisher.retire
        self.on_outcome = listener.on_outcome
        self.on_update = listener.on_update
        self.on_account = listener.on_account
        self.on_missed = listener.on_missed
        self.on_cut = listener.on_cut
        self.is_stale = listener.is_stale
        self.book = listener.book

    async def start(self) -> None:
        """Listens, then publishes."""
        await self.listener.start()
        await self.publisher.start()

    async def close(self) -> None:
        """Publishes and listens no longer."""
        await self.publisher.close()
        await self.listener.close()
