"""A whole embedded exchange inside the test's own event loop, asked over ASGI without a socket."""

import asyncio
import contextlib
import hashlib
import hmac
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx

from outcry.settings import Settings
from outcry.telemetry.traces import Tracer
from outcry.wiring.embedded import Exchange

PATIENCE_SECONDS = 30.0
KEY, SECRET = "outcry-demo-key-1", "outcry-demo-secret-1"


class Client:
    """Asks one exchange as the first demo account; answers are (HTTP status, parsed body)."""

    def __init__(self, exchange: Exchange) -> None:
        transport = httpx.ASGITransport(app=exchange.app)
        self.http = httpx.AsyncClient(transport=transport, base_url="http://exchange")
        self.key, self.secret = KEY, SECRET

    async def get(self, path: str, **params: Any) -> tuple[int, Any]:
        """An unsigned GET."""
        answer = await self.http.get(path, params=params)
        return answer.status_code, answer.json()

    async def signed(self, method: str, path: str, **params: Any) -> tuple[int, Any]:
        """A signed request with everything in the query."""
        query = urlencode({**params, "timestamp": int(time.time() * 1000)})
        signature = hmac.new(self.secret.encode(), query.encode(), hashlib.sha256).hexdigest()
        headers = {"X-MBX-APIKEY": self.key}
        answer = await self.http.request(method, f"{path}?{query}&signature={signature}", headers=headers)
        return answer.status_code, answer.json()


@contextlib.asynccontextmanager
async def running(
    folder: Path, *, tracer: Tracer | None = None, **settings: Any
) -> AsyncIterator[tuple[Exchange, Client]]:
    """An exchange for the length of a ``with`` block; without simulation unless ``settings`` say otherwise."""
    chosen = Settings(**{"data_dir": str(folder), "simulation_enabled": False, "limits": "off", **settings})
    exchange = Exchange(chosen, lambda line: None, tracer=tracer)
    try:
        await exchange.start()
        client = Client(exchange)
        try:
            yield exchange, client
        finally:
            await client.http.aclose()
    finally:
        await exchange.stop()


async def until(holds: Callable[[], bool]) -> None:
    """Looks again and again until something holds, but not for ever."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
