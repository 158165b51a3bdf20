"""Clients that are rude, slow or not HTTP at all get an answer of the documented shape, then the door."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from outcry.roles.api import guard, wire
from outcry.roles.api.guard import GuardedHttp
from tests.support.gated import gated
from tests.support.inprocess import PATIENCE_SECONDS
from tests.support.served import served

PING = b"GET /api/v3/ping HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
async def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    monkeypatch.setattr(guard, "HEAD_SECONDS", 0.6)
    monkeypatch.setattr(wire, "BODY_SECONDS", 0.6)
    async with gated(tmp_path) as front, served(front.app, http=GuardedHttp) as running:
        yield running


async def say(address: str, *pieces: bytes) -> tuple[int, dict[str, str], bytes]:
    """Sends the pieces and reads one response: status, headers, body."""
    host, port = address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        return await asyncio.wait_for(response(reader), PATIENCE_SECONDS)
    finally:
        writer.close()


async def response(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = {n.lower(): v for n, _, v in (line.partition(": ") for line in head[1:] if line)}
    return int(head[0].split()[1]), headers, await reader.readexactly(int(headers["content-length"]))


@pytest.mark.parametrize(
    "noise", [b"garbage\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b"GET http://[::1 HTTP/1.1\r\nHost: x\r\n\r\n"]
)
async def test_what_is_no_http_is_told_so(address: str, noise: bytes) -> None:
    status, headers, body = await say(address, noise)
    assert (status, headers["content-type"], json.loads(body)["code"]) == (400, "application/problem+json", -1100)


async def test_a_head_that_never_ends_is_cut_off(address: str) -> None:
    lines = [b"X-%d: " % i + b"a" * 3000 + b"\r\n" for i in range(12)]
    status, headers, body = await say(address, b"GET /api/v3/ping HTTP/1.1\r\nHost: x\r\n", *lines)
    assert (status, headers["connection"], set(json.loads(body))) == (431, "close", {"code", "msg"})


async def test_a_slow_head_and_a_silent_client_are_told_to_hurry(address: str) -> None:
    for pieces in ((), (b"GET /api/v3/ping HTTP/1.1\r\n",)):
        status, headers, _ = await say(address, *pieces)
        assert (status, headers["connection"]) == (408, "close")


async def test_a_slow_body_is_told_to_hurry(address: str) -> None:
    status, headers, body = await say(address, b"POST /api/v3/order HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc")
    assert (status, headers["connection"], json.loads(body)["code"]) == (408, "close", -1013)


async def test_a_client_reads_why_its_large_body_was_refused_and_may_go_on(address: str) -> None:
    host, port = address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST /api/v3/order HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + b"a" * 1_000_000)
    await writer.drain()
    assert (await response(reader))[0] == 413
    writer.write(PING)
    assert (await response(reader))[0] == 200
    writer.close()


async def test_requests_on_one_connection_are_answered_in_turn(address: str) -> None:
    host, port = address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(PING * 5)
    assert [(await response(reader))[0] for _ in range(5)] == [200] * 5
    writer.close()


async def test_too_many_connections_are_told_that_it_is_overloaded(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "MAX_CONNECTIONS", 0)
    status, _, body = await say(address)
    assert (status, json.loads(body)["code"]) == (503, -1008)
