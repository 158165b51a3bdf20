"""What Redis' clients do when the way to Redis breaks, on the event loop that processes run on."""

import asyncio
from urllib.parse import urlsplit

import uvloop

from outcry.adapters.redis import RedisShared
from outcry.adapters.redis.channels import Channels
from outcry.ports import OutOfService
from outcry.roles.api.contact import Contact
from tests.support.kafka import component
from tests.support.links import Link

WELL = {"status": "ok", "detail": ""}
SOON_SECONDS = 30.0


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


async def test_health_tells_what_is_not_heard_and_not_shared_and_that_it_is_again() -> None:
    link = Link("client-state", urlsplit(component("OUTCRY_REDIS_STATE")).port or 0)
    await link.open()
    url = f"redis://127.0.0.1:{link.port}/0"
    shared, channels = RedisShared(url), Channels(url, lambda *_: None, lambda: None)
    status: dict[str, dict[str, str]] = {}
    contact = Contact(channels, shared, status)
    try:
        await channels.start(["news"])
        await contact.look()
        assert status == {"feed": WELL, "shared": WELL}
        await link.close()
        async with asyncio.timeout(SOON_SECONDS):
            while channels.is_open:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await contact.look()
        assert {each["status"] for each in status.values()} == {"degraded"}
        assert "Redis" in status["feed"]["detail"] and "Redis cannot be asked" in status["shared"]["detail"]
        await link.open()
        async with asyncio.timeout(SOON_SECONDS):
            while status != {"feed": WELL, "shared": WELL}:
                await contact.look()
                await asyncio.sleep(0.01)
    finally:
        await channels.close()
        await shared.close()
        await link.close()
