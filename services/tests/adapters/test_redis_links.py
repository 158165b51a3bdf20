"""What Redis' clients do when the way to Redis breaks, on the event loop that processes run on."""

import asyncio
from urllib.parse import urlsplit

import uvloop

from outcry.adapters.redis import RedisShared
from outcry.ports import OutOfService
from tests.support.kafka import component
from tests.support.links import Link


def test_a_connection_that_broke_while_it_was_idle_is_trouble_with_redis_and_no_bug() -> None:
    port = urlsplit(component("OUTCRY_REDIS_STATE")).port or 0

    async def ask() -> None:
        link = Link("client-state", port)
        await link.open()
        shared = RedisShared(f"redis://127.0.0.1:{link.port}/0", prefix="links:")
        try:
            for _ in range(20):
                answers = await asyncio.gather(*(shared.get("nonce") for _ in range(8)), return_exceptions=True)
                assert {type(answer) for answer in answers} <= {type(None), OutOfService}, answers
                link.cut()
                await asyncio.sleep(0.001)
        finally:
            await shared.close()
            await link.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(ask())
