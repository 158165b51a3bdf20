"""The feed and the shared volatile state on Redis 7: two instances, for one may forget and the other should not."""

from outcry.adapters.redis.feed import RedisFeed as RedisFeed
from outcry.adapters.redis.listener import RedisListener as RedisListener
from outcry.adapters.redis.publisher import RedisPublisher as RedisPublisher
from outcry.adapters.redis.shared import RedisShared as RedisShared
