"""The crowd's way into an exchange that runs elsewhere: a WebSocket API session per trader, and the public streams."""

import asyncio
import contextlib
import hashlib
import hmac
import itertools
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, WebSocketException

from outcry.decimals import minor_units
from outcry.market.instrument import Instrument
from outcry.ports import Book, Clock, OutcomeUnknown, OutOfService
from outcry.roles.simulate.role import AskRefused

ANSWER_SECONDS: Final = 12.0  # the exchange itself gives up after 9 s
RETRY_SECONDS: Final = 1.0
MAX_MESSAGE: Final = 1 << 24

log = logging.getLogger(__name__)

Credentials = tuple[str, str]  # API key, HMAC secret


class Session:
    """One trader's connection to the WebSocket API; made when it is needed, and again when it is lost."""

    def __init__(self, url: str, clock: Clock, credentials: Credentials | None = None) -> None:
        self._url = url
        self._clock = clock
        self._credentials = credentials
        self._socket: ClientConnection | None = None
        self._reader: asyncio.Task[None] | None = None
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._numbers = itertools.count(1)
        self._opening = asyncio.Lock()

    async def ask(self, method: str, params: Mapping[str, Any]) -> Any:
        """The method's result. Raises AskRefused, OutOfService (nothing was done), OutcomeUnknown."""
        async with self._opening:
            if self._socket is None:
                await self._open()
        return await self._send(method, {**params, "timestamp": self._clock.now_ms()} if self._credentials else params)

    async def close(self) -> None:
        """Ends the connection."""
        if self._socket is not None:
            await self._socket.close()
        if self._reader is not None:
            await asyncio.wait([self._reader])

    async def _open(self) -> None:
        try:
            self._socket = await connect(self._url, max_size=MAX_MESSAGE, compression=None)
        except (OSError, TimeoutError, InvalidHandshake) as trouble:
            raise OutOfService(f"{self._url} cannot be reached: {trouble}") from None
        self._reader = asyncio.create_task(self._read(self._socket))
        if self._credentials is not None:
            api_key, secret = self._credentials
            signed = f"apiKey={api_key}&timestamp={(now_ms := self._clock.now_ms())}"
            signature = hmac.new(secret.encode(), signed.encode(), hashlib.sha256).hexdigest()
            await self._send("session.logon", {"apiKey": api_key, "timestamp": now_ms, "signature": signature})

    async def _send(self, method: str, params: Mapping[str, Any]) -> Any:
        socket, number = self._socket, next(self._numbers)
        if socket is None:
            raise OutOfService(f"{self._url} closed the connection")
        answered = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            await socket.send(msgspec.json.encode({"id": number, "method": method, "params": params}).decode())
            return _result(await asyncio.wait_for(answered, ANSWER_SECONDS))
        except (WebSocketException, TimeoutError):
            raise OutcomeUnknown(f"{self._url} did not answer {method}") from None
        finally:
            self._waiting.pop(number, None)

    async def _read(self, socket: ClientConnection) -> None:
        try:
            async for text in socket:
                answer = msgspec.json.decode(text)
                waiting = self._waiting.get(answer.get("id", 0)) if isinstance(answer, dict) else None
                if waiting is not None and not waiting.done():
                    waiting.set_result(answer)
        except WebSocketException:
            pass
        finally:
            if self._socket is socket:
                self._socket = None
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(OutcomeUnknown(f"{self._url} closed the connection"))


class Tops:
    """Best bid, best ask and last trade of every market, as the public streams tell them."""

    def __init__(self, url: str, instruments: Sequence[Instrument]) -> None:
        self.prices: dict[int, int] = {}  # last trade in ticks, by symbol id
        self._instruments = {instrument.symbol: instrument for instrument in instruments}
        self._books: dict[int, Book] = {}
        names = [f"{each.symbol.lower()}@{kind}" for each in instruments for kind in ("bookTicker", "trade")]
        self._url = f"{url}/stream?streams={'/'.join(names)}"

    async def book(self, symbol_id: int, depth: int) -> Book | None:
        """The best level of each side, whatever the ``depth``."""
        return self._books.get(symbol_id)

    async def run(self) -> None:
        """Follows the streams until canceled."""
        while True:
            with contextlib.suppress(OSError, TimeoutError, WebSocketException):
                async with connect(self._url, max_size=MAX_MESSAGE, compression=None) as socket:
                    async for text in socket:
                        self._take(msgspec.json.decode(text))
            await asyncio.sleep(RETRY_SECONDS)

    def _take(self, message: Any) -> None:
        told = message.get("data") if isinstance(message, dict) else None
        instrument = self._instruments.get(told.get("s", "")) if isinstance(told, dict) else None
        if instrument is None or told is None:
            return
        tick, lot, symbol_id = instrument.tick_size, instrument.lot_size, instrument.symbol_id
        if told.get("e") == "trade":
            self.prices[symbol_id] = _units(told["p"]) // tick
        elif "b" in told and "B" in told:
            sides = [(_units(told[p]) // tick, _units(told[q]) // lot) for p, q in (("b", "B"), ("a", "A"))]
            bids, asks = (((level,) if level[1] else ()) for level in sides)
            self._books[symbol_id] = Book(update_id=told["u"], bids=bids, asks=asks)


def _result(answer: Mapping[str, Any]) -> Any:
    status = answer.get("status")
    if status == 200:
        return answer.get("result")
    error = answer.get("error", {})
    code, text = error.get("code", 0), error.get("msg", "")
    if status == 503:
        raise OutOfService(text)
    if status == 504:
        raise OutcomeUnknown(text)
    if error.get("data", {}).get("newOrderResult") == "SUCCESS":
        return error["data"]
    raise AskRefused(code, text)


def instruments_of(exchange_info: Mapping[str, Any]) -> list[Instrument]:
    """The terms of every listed symbol as `exchangeInfo` tells them, numbered from 1."""
    found = []
    for number, told in enumerate(exchange_info["symbols"], start=1):
        filters = {each["filterType"]: each for each in told["filters"]}
        found.append(
            Instrument(
                symbol_id=number,
                symbol=told["symbol"],
                partition=0,
                base=told["baseAsset"],
                quote=told["quoteAsset"],
                base_asset=0,
                quote_asset=0,
                tick_size=_units(filters["PRICE_FILTER"]["tickSize"]),
                lot_size=_units(filters["LOT_SIZE"]["stepSize"]),
                min_notional=_units(filters["NOTIONAL"]["minNotional"]),
            )
        )
    return found


def _units(text: str) -> int:
    found = minor_units(text)
    assert found is not None, f"{text!r} has more than 8 decimals"
    return found
