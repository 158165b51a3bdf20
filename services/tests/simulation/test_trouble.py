"""Trouble a machine gives an exchange: a second process, a damaged file, a full disk, a gentle stop."""

import asyncio
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.support.signed import SignedClient
from tests.support.venue import SERVICES, Exchange, start_exchange

KEY = ("outcry-demo-key-1", "outcry-demo-secret-1")
SMALL_DISK_BYTES = 24 << 20


def outcry(*words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(SERVICES), "SIMULATION_ENABLED": "false"}
    return subprocess.run(
        [sys.executable, "-m", "outcry", *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def order(number: int, price: str = "15000.00") -> dict[str, object]:
    return {
        "symbol": "BTCUSD",
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "0.001",
        "price": price,
        "newClientOrderId": f"t{number}",
    }


async def place(exchange: Exchange, numbers: range) -> list[int]:
    """Statuses of orders placed one after the other."""
    async with aiohttp.ClientSession() as session:
        client = SignedClient(session, exchange.url, *KEY)
        return [(await client.ask("POST", "/api/v3/order", order(n)))[0] for n in numbers]


async def open_names(exchange: Exchange) -> set[str]:
    async with aiohttp.ClientSession() as session:
        _, rows = await SignedClient(session, exchange.url, *KEY).ask("GET", "/api/v3/openOrders", {})
        return {row["clientOrderId"] for row in rows}


def test_a_second_process_on_the_same_data_ends_at_once_and_says_why(tmp_path: Path) -> None:
    exchange = start_exchange(tmp_path)
    try:
        second = outcry("up", "--data", str(tmp_path), "--port", "0")
        assert second.returncode != 0
        assert "already" in second.stderr and str(tmp_path) in second.stderr
        assert urllib.request.urlopen(exchange.url + "/readyz", timeout=5).status == 200
    finally:
        exchange.stop()


async def test_a_gentle_stop_keeps_everything_and_verifies(tmp_path: Path) -> None:
    exchange = start_exchange(tmp_path)
    assert await place(exchange, range(20)) == [200] * 20
    assert exchange.stop() == 0
    assert outcry("verify", "--data", str(tmp_path)).returncode == 0
    exchange = start_exchange(tmp_path)
    try:
        assert await open_names(exchange) == {f"t{n}" for n in range(20)}
    finally:
        exchange.stop()


async def test_a_damaged_file_is_refused_in_plain_words(tmp_path: Path) -> None:
    exchange = start_exchange(tmp_path)
    await place(exchange, range(50))
    exchange.stop()
    database = max(tmp_path.glob("*.db"), key=lambda path: path.stat().st_size)
    content = bytearray(database.read_bytes())
    content[4096 * 3 : 4096 * 12] = os.urandom(4096 * 9)
    database.write_bytes(content)
    for verb in (["up", "--data", str(tmp_path), "--port", "0"], ["verify", "--data", str(tmp_path)]):
        ended = outcry(*verb)
        said = ended.stdout + ended.stderr
        assert ended.returncode != 0
        assert "Traceback" not in said
        assert "damaged" in said.lower(), said


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A directory on a file system of 24 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK_BYTES}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill_up(path: Path) -> None:
    """Writes until the file system has no block left."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        with pytest.raises(OSError, match="space"):
            while True:
                os.write(descriptor, b"\0" * 4096)
    finally:
        os.close(descriptor)


async def test_a_full_disk_refuses_orders_and_keeps_the_acknowledged_ones(small_disk: Path) -> None:
    exchange = start_exchange(small_disk)
    filler = small_disk / "filler"
    accepted = await place(exchange, range(10))
    assert accepted == [200] * 10
    fill_up(filler)
    kept = 10
    try:
        for number in range(10, 400):
            async with aiohttp.ClientSession() as session:
                status, answer = await SignedClient(session, exchange.url, *KEY).ask(
                    "POST", "/api/v3/order", order(number)
                )
            if status != 200:
                assert (status, answer["code"]) in {(503, -1008), (504, -1007)}
                break
            kept += 1
        else:
            pytest.fail("a full disk refused nothing")
    except (aiohttp.ClientError, TimeoutError):
        assert exchange.process.wait(30) != 0
        assert "disk" in exchange.log().lower()
    exchange.kill()
    filler.unlink()
    await asyncio.sleep(0.1)
    exchange = start_exchange(small_disk)
    try:
        assert {f"t{n}" for n in range(kept)} <= await open_names(exchange)
    finally:
        exchange.stop()
    assert outcry("verify", "--data", str(small_disk)).returncode == 0
