"""Clients' sockets, with a real server and real clients."""

import asyncio
import json
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from outcry.roles.stream import link as link_module
from outcry.roles.stream.frames import text_frame
from outcry.roles.stream.link import MAX_WAITING_BYTES, TRANSPORT, Link
from tests.support.inprocess import PATIENCE_SECONDS, until
from tests.support.served import served

MASK = b"mask"


class Echo:
    """Says every message back; keeps its links."""

    def __init__(self, *, own_transport: bool = True) -> None:
        self.links: list[Link] = []
        self._own_transport = own_transport

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        if not self._own_transport:
            del scope["extensions"][TRANSPORT]
        link = Link(scope, receive, send)
        self.links.append(link)
        async for text in link.messages():
            link.say(text.encode())
        link.end()


async def closed_with(client: ClientConnection) -> int | None:
    """Reads to the end and returns the close code."""
    with pytest.raises(ConnectionClosed) as caught:
        while True:
            await asyncio.wait_for(client.recv(), PATIENCE_SECONDS)
    return caught.value.rcvd.code if caught.value.rcvd else None


@pytest.fixture(params=[True, False], ids=["own transport", "ASGI alone"])
def echo(request: pytest.FixtureRequest) -> Echo:
    return Echo(own_transport=request.param)


async def test_messages_go_both_ways_in_order(echo: Echo) -> None:
    async with served(echo) as address, connect(f"ws://{address}/ws") as client:
        for text in ("a", "x" * 300, "y" * 65_000, "ü"):
            await client.send(text)
            assert await client.recv() == text


async def test_what_was_said_before_the_end_arrives_before_it(echo: Echo) -> None:
    async with served(echo) as address, connect(f"ws://{address}/ws") as client:
        await client.send("hello")
        await client.recv()
        texts = [str(n) * 1_000 for n in range(200)]
        for text in texts:
            echo.links[0].say(text.encode())
        echo.links[0].close(1001, "the end")
        assert [await client.recv() for _ in texts] == texts
        assert await closed_with(client) == 1001


async def test_a_closed_client_learns_the_code_and_reason(echo: Echo) -> None:
    async with served(echo) as address, connect(f"ws://{address}/ws") as client:
        await client.send("hello")
        await client.recv()
        echo.links[0].close(1001, "the end")
        assert await closed_with(client) == 1001
        assert client.close_reason == "the end"


async def test_binary_messages_are_refused(echo: Echo) -> None:
    async with served(echo) as address, connect(f"ws://{address}/ws") as client:
        await client.send(b"binary")
        assert await closed_with(client) == 1003


@pytest.mark.parametrize(
    ("wire", "code"),
    [
        (b"\x81\xfe\xff\xff" + MASK, None),  # a frame of 65,535 bytes that never ends is no fault yet
        (b"\x81\xff" + (1 << 20).to_bytes(8, "big") + MASK + b"x" * 300_000, 1009),
        (b"\x83\x80" + MASK, 1002),  # an unknown opcode
        (b"\x81\x05hello", 1002),  # not masked
        (b"\xc1\x80" + MASK, 1002),  # a reserved bit
        (b"\x81\x82\x00\x00\x00\x00\xff\xff", 1007),  # no UTF-8
    ],
)
async def test_a_bad_frame_is_answered_with_a_close_frame(wire: bytes, code: int | None) -> None:
    async with served(Echo()) as address:
        reader, writer = await _raw(address)
        writer.write(wire)
        if code is None:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.read(1), 0.2)
        else:
            head = await asyncio.wait_for(reader.readexactly(4), PATIENCE_SECONDS)
            assert head[0] == 0x88
            assert int.from_bytes(head[2:], "big") == code
        writer.close()


async def test_a_client_that_never_reads_is_closed_and_the_others_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "CLOSE_SECONDS", 0.2)
    echo = Echo()
    async with served(echo) as address, connect(f"ws://{address}/ws") as reading:
        await reading.send("hello")
        await reading.recv()
        _, writer = await _raw(address)
        await until(lambda: len(echo.links) == 2)
        frame = text_frame(b"x" * 60_000)
        for _ in range(400):
            for each in echo.links:
                each.push(frame)
            await reading.recv()
        assert [each.too_slow for each in echo.links] == [False, True]
        await asyncio.sleep(0.4)
        with pytest.raises(OSError):
            for _ in range(2_000):
                writer.write(b"\x89\x80" + MASK)
                await writer.drain()
                await asyncio.sleep(0.01)
        await reading.send("still here")
        assert await reading.recv() == "still here"


async def test_a_client_that_lags_for_long_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "LAG_SECONDS", 1.0)
    echo = Echo()
    async with served(echo) as address:
        _, writer = await _raw(address)
        await until(lambda: bool(echo.links))
        [slow] = echo.links
        outlet = slow._outlet
        while outlet.get_write_buffer_size() < 2 * link_module.LAG_BYTES:
            slow.push(text_frame(b"x" * 60_000))
            await asyncio.sleep(0)
        assert not slow.closed
        assert outlet.get_write_buffer_size() < MAX_WAITING_BYTES
        await asyncio.sleep(1.1)
        slow.push(text_frame(b"one more"))
        await asyncio.sleep(0)
        assert slow.too_slow
        writer.close()


async def test_a_connection_ends_after_its_lifetime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "LIFETIME_SECONDS", 0.1)
    async with served(Echo()) as address, connect(f"ws://{address}/ws") as client:
        assert await closed_with(client) == 1001


async def test_the_server_pings_and_takes_the_pong() -> None:
    async with served(Echo(), ws_ping_interval=0.05, ws_ping_timeout=1.0) as address:
        async with connect(f"ws://{address}/ws") as client:
            await asyncio.sleep(1.5)
            await client.send(json.dumps("alive"))
            assert await client.recv() == '"alive"'
        reader, writer = await _raw(address)
        pinged = await asyncio.wait_for(reader.readexactly(2), PATIENCE_SECONDS)
        assert pinged[0] == 0x89
        rest = await asyncio.wait_for(reader.read(), PATIENCE_SECONDS)
        assert b"\x88" in rest
        writer.close()


async def _raw(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A socket after its handshake, for what no client library would send."""
    host, port = address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        f"GET /ws HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    head = await reader.readuntil(b"\r\n\r\n")
    assert b"101" in head.split(b"\r\n", 1)[0]
    return reader, writer
