"""A small signing client of the exchange for tests and load: what a bot author would write in an afternoon."""

import hashlib
import hmac
import json
import time
from typing import Any
from urllib.parse import urlencode

import aiohttp
import msgspec

TIMEOUT_SECONDS = 15.0
RECV_WINDOW_MS = 5000


class SignedClient:
    """Signs requests of one key with HMAC-SHA256; answers are (HTTP status, parsed body)."""

    def __init__(self, session: aiohttp.ClientSession, url: str, key: str, secret: str) -> None:
        self.session = session
        self.url = url
        self.key = key
        self.secret = secret.encode()

    def sign(self, params: dict[str, Any]) -> str:
        """The query string of ``params`` with timestamp and signature."""
        query = urlencode({**params, "timestamp": int(time.time() * 1000), "recvWindow": RECV_WINDOW_MS})
        return f"{query}&signature={hmac.new(self.secret, query.encode(), hashlib.sha256).hexdigest()}"

    async def ask(self, method: str, path: str, params: dict[str, Any], **headers: str) -> tuple[int, Any]:
        """One signed request with everything in the query string."""
        address = f"{self.url}{path}?{self.sign(params)}"
        return await self._answer(method, address, None, headers)

    async def batch(self, orders: list[dict[str, Any]], **headers: str) -> tuple[int, Any]:
        """POST /v1/orders:batch; the signature covers the query and the JSON body."""
        body = json.dumps({"orders": orders}).encode()
        query = urlencode({"timestamp": int(time.time() * 1000), "recvWindow": RECV_WINDOW_MS})
        signature = hmac.new(self.secret, query.encode() + body, hashlib.sha256).hexdigest()
        address = f"{self.url}/v1/orders:batch?{query}&signature={signature}"
        return await self._answer("POST", address, body, {"Content-Type": "application/json", **headers})

    async def _answer(self, method: str, address: str, body: bytes | None, headers: dict[str, str]) -> tuple[int, Any]:
        sent = {"X-MBX-APIKEY": self.key, **{name.replace("_", "-"): value for name, value in headers.items()}}
        limit = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
        async with self.session.request(method, address, data=body, headers=sent, timeout=limit) as answer:
            return answer.status, await answer.json(content_type=None, loads=msgspec.json.decode)
