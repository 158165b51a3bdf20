"""SIGKILL during the very first start: the next start finishes what was begun, and nothing is there twice."""

import asyncio
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from outcry.cli import main
from tests.support.signed import SignedClient
from tests.support.venue import Exchange, launch_exchange, start_exchange

PATIENCE_SECONDS = 90
MOMENTS = {
    "its file is new": "SELECT count(*) FROM sqlite_schema",
    "it deposits": "SELECT count(*) > 3 FROM transfers",
    "it issues keys": "SELECT count(*) FROM api_keys",
    "it writes history": "SELECT count(DISTINCT symbol_id) > 1 FROM candles",
    "its symbols are asked for": "SELECT count(*) FROM journal",
}
TRIES = 5
QUIET = "0.01"  # orders per second of the crowd


def killed_at(folder: Path, moment: str) -> Path:
    """The data directory of an exchange that was killed at a moment of its founding; who came too late tries again."""
    for attempt in range(TRIES):
        exchange = launch_exchange(made(folder / f"{attempt}"), simulation=True, SIMULATION_ORDERS_PER_SEC=QUIET)
        kill_when(exchange, MOMENTS[moment])
        if "Ready on" not in exchange.log():
            return exchange.folder
    raise AssertionError(f"the founding was over each time before anybody saw that {moment}")


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def kill_when(exchange: Exchange, sign: str) -> None:
    """Kills as soon as the query about the young ledger finds something."""
    path = exchange.folder / "outcry.db"
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (path.exists() and asked(path, sign)):
        assert exchange.process.poll() is None and time.monotonic() < deadline, exchange.log()
        time.sleep(0.0005)
    exchange.kill()


def asked(path: Path, question: str) -> int:
    """The one number that the ledger answers; 0 while it cannot."""
    try:
        ledger = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
        try:
            return int(ledger.execute(question).fetchone()[0])
        finally:
            ledger.close()
    except sqlite3.OperationalError:
        return 0


async def seen(exchange: Exchange) -> dict[str, Any]:
    """What a client finds of the founded venue."""
    found: dict[str, Any] = {}
    async with aiohttp.ClientSession() as session:
        for number in (1, 2):
            key = (f"outcry-demo-key-{number}", f"outcry-demo-secret-{number}")
            _, account = await SignedClient(session, exchange.url, *key).ask("GET", "/api/v3/account", {})
            found[key[0]] = account["balances"]
        async with session.get(f"{exchange.url}/api/v3/exchangeInfo") as answer:
            found["symbols"] = [each["symbol"] for each in (await answer.json())["symbols"]]
        for symbol in found["symbols"]:
            query = {"symbol": symbol, "interval": "1d", "limit": "1000"}
            async with session.get(f"{exchange.url}/api/v3/klines", params=query) as answer:
                found[symbol] = len(await answer.json())
    return found


@dataclass(frozen=True)
class Unharmed:
    """The data directory of an exchange that was founded in one go, and what a client found there."""

    folder: Path
    seen: dict[str, Any]


@pytest.fixture(scope="module")
def unharmed(tmp_path_factory: pytest.TempPathFactory) -> Unharmed:
    folder = tmp_path_factory.mktemp("unharmed")
    exchange = start_exchange(folder, simulation=True, SIMULATION_ORDERS_PER_SEC=QUIET)
    found = asyncio.run(seen(exchange))
    exchange.stop()
    return Unharmed(folder, found)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("moment", MOMENTS)
async def test_an_exchange_killed_while_it_is_founded_is_founded_by_the_next_start(
    tmp_path: Path, unharmed: Unharmed, moment: str
) -> None:
    folder = killed_at(tmp_path, moment)
    mended = start_exchange(folder, simulation=True, SIMULATION_ORDERS_PER_SEC=QUIET)
    try:
        assert await seen(mended) == unharmed.seen
    finally:
        mended.kill()
    for table in ("accounts", "assets", "api_keys", "transfers", "symbol_state"):
        count = f"SELECT count(*) FROM {table}"
        assert asked(folder / "outcry.db", count) == asked(unharmed.folder / "outcry.db", count), table
    assert await asyncio.to_thread(main, ["verify", "--data", str(folder)]) == 0
