"""Serves an ASGI app on a free port of this machine, with the sockets that the exchange itself uses."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import uvicorn

from outcry.roles.stream.protocol import StreamProtocol
from tests.support.inprocess import until


@contextlib.asynccontextmanager
async def served(app: Any, **settings: Any) -> AsyncIterator[str]:
    """The address of the running app, as host and port."""
    config = uvicorn.Config(
        app, host="127.0.0.1", port=0, lifespan="off", log_level="warning", access_log=False, ws=StreamProtocol,
        ws_max_size=65_536, ws_per_message_deflate=False, timeout_graceful_shutdown=1, **settings,
    )  # fmt: skip
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    await until(lambda: server.started)
    try:
        yield f"127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await task
