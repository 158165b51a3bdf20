"""The proxy of the fault campaigns: what runs through it, and what each trouble does to it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from tests.support.links import Link

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@contextlib.asynccontextmanager
async def echo() -> AsyncIterator[Link]:
    """A link to a server that repeats what it hears."""

    async def repeat(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(1000):
                writer.write(chunk)
        writer.close()

    server = await asyncio.start_server(repeat, "127.0.0.1", 0)
    link = Link("client-echo", server.sockets[0].getsockname()[1])
    await link.open()
    try:
        yield link
    finally:
        await link.close()
        server.close()


@contextlib.asynccontextmanager
async def client(link: Link) -> AsyncIterator[Stream]:
    reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def said(stream: Stream, text: bytes, seconds: float = 5.0) -> bytes:
    reader, writer = stream
    writer.write(text)
    return await asyncio.wait_for(reader.readexactly(len(text)), seconds)


async def test_what_is_sliced_and_late_arrives_whole() -> None:
    async with echo() as link, client(link) as stream:
        link.slice_bytes, link.latency_seconds = 3, 0.05
        began = asyncio.get_running_loop().time()
        assert await said(stream, b"buy 5@100") == b"buy 5@100"
        assert asyncio.get_running_loop().time() - began >= 0.1


async def test_a_cut_is_seen_by_the_client_at_once() -> None:
    async with echo() as link, client(link) as stream:
        await said(stream, b"x")
        assert link.cut() == 1
        with pytest.raises(ConnectionError):
            await stream[0].read()


async def test_a_silent_link_delivers_when_it_is_healed() -> None:
    async with echo() as link, client(link) as stream:
        link.is_silent = True
        with pytest.raises(TimeoutError):
            await said(stream, b"x", 0.1)
        link.heal()
        assert await asyncio.wait_for(stream[0].readexactly(1), 5) == b"x"


async def test_a_client_of_a_half_open_link_hears_nothing_and_a_new_one_is_served() -> None:
    async with echo() as link, client(link) as stream:
        await said(stream, b"x")
        assert link.lose_servers() == 1
        with pytest.raises(TimeoutError):
            await said(stream, b"y", 0.1)
        async with client(link) as other:
            assert await said(other, b"z") == b"z"


async def test_a_closed_link_resets_who_comes() -> None:
    async with echo() as link:
        link.is_closed = True
        async with client(link) as stream:
            with pytest.raises(ConnectionError):
                await said(stream, b"x")
