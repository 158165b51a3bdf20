"""The proxy of the fault campaigns: what runs through it, and what each trouble does to it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

import pytest
import uvloop

from tests.support import links
from tests.support.links import Link

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
MANY = 1 << 24  # bytes: more than all buffers on the way hold


@contextlib.asynccontextmanager
async def linked_to(talk: Talk) -> AsyncIterator[Link]:
    """A link to a server that talks so with each client."""
    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    link = Link("client-server", server.sockets[0].getsockname()[1])
    await link.open()
    try:
        yield link
    finally:
        await link.close()
        server.close()


def echo() -> contextlib.AbstractAsyncContextManager[Link]:
    """A link to a server that repeats what it hears."""

    async def repeat(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(1000):
                writer.write(chunk)
        writer.close()

    return linked_to(repeat)


@contextlib.asynccontextmanager
async def client(link: Link) -> AsyncIterator[Stream]:
    reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def said(stream: Stream, text: bytes, seconds: float = 30.0) -> bytes:
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
        assert await asyncio.wait_for(stream[0].readexactly(1), 30) == b"x"


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


async def test_what_was_held_back_arrives_before_what_came_later() -> None:
    async with echo() as link, client(link) as (reader, writer):
        link.latency_seconds = 0.05
        for piece in (b"buy ", b"5@100 ", b"GTC "):
            writer.write(piece)
            await asyncio.sleep(0.01)
        link.heal()
        writer.write(b"#7")
        assert await asyncio.wait_for(reader.readexactly(16), 30) == b"buy 5@100 GTC #7"


async def test_a_client_that_reads_nothing_is_written_to_no_more_and_gets_all_of_it_later() -> None:
    said_bytes = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal said_bytes
        with contextlib.suppress(OSError):
            while said_bytes < MANY:
                writer.write(bytes(1 << 16))
                await writer.drain()
                said_bytes += 1 << 16
        await reader.read()
        writer.close()

    async with linked_to(talk) as link, client(link) as (reader, _):
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.sleep(0.3)
        assert 0 < said_bytes < MANY
        reader._transport.resume_reading()  # type: ignore[attr-defined]
        assert len(await asyncio.wait_for(reader.readexactly(MANY), 20)) == MANY


async def test_an_end_is_not_seen_through_a_silent_link() -> None:
    async with echo() as link, client(link) as stream:
        await said(stream, b"x")
        link.is_silent = True
        stream[1].write_eof()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(stream[0].read(), 0.1)
        link.heal()
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(stream[0].read(), 5)


async def test_more_connections_than_a_link_carries_are_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "MAX_CONNECTIONS", 1)
    async with echo() as link, client(link) as stream, client(link) as other:
        assert await said(stream, b"x") == b"x"
        with pytest.raises(ConnectionError):
            await said(other, b"y")
        assert len(link.server_side_ports()) == 1


async def test_a_silence_or_a_half_open_connection_ends_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "MAX_SILENCE_SECONDS", 0.2)
    async with echo() as link:
        for trouble in (link.lose_servers, lambda: setattr(link, "is_silent", True)):
            async with client(link) as stream:
                await said(stream, b"x")
                trouble()
                with pytest.raises(ConnectionError):
                    await said(stream, b"y")


async def test_a_client_of_a_server_that_is_not_there_is_reset() -> None:
    async with echo() as link:
        await link.close()
        away = Link("client-nobody", link.port)
        await away.open()
        async with client(away) as stream:
            with pytest.raises(ConnectionError):
                await said(stream, b"x")
        await away.close()


@pytest.mark.parametrize(
    "told",
    [
        test_what_is_sliced_and_late_arrives_whole,
        test_a_cut_is_seen_by_the_client_at_once,
        test_a_silent_link_delivers_when_it_is_healed,
        test_a_client_of_a_half_open_link_hears_nothing_and_a_new_one_is_served,
        test_a_closed_link_resets_who_comes,
        test_a_client_that_reads_nothing_is_written_to_no_more_and_gets_all_of_it_later,
        test_an_end_is_not_seen_through_a_silent_link,
    ],
)
def test_so_it_is_on_the_loop_that_campaigns_run_on(told: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(told())
