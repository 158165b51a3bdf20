"""Trading libraries and a bot, unmodified and each in an environment of its own, against a running exchange."""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster import running_cluster
from tests.support.venue import running_exchange

ROOT = Path(__file__).resolve().parents[3]
BOTS = Path(__file__).parent / "bots"
KEY, SECRET = "outcry-demo-key-1", "outcry-demo-secret-1"
PATIENCE_SECONDS = 150
GIVEN = {  # the environment may name an exchange; then it alone is tried
    "OUTCRY_TEST_URL": "url", "OUTCRY_TEST_STREAM_URL": "stream_url", "OUTCRY_TEST_KEY": "key",
    "OUTCRY_TEST_SECRET": "secret",
}  # fmt: skip

pytestmark = pytest.mark.client


@dataclass
class Place:
    """Where a client finds the exchange, and as whom it trades there."""

    url: str
    stream_url: str
    key: str
    secret: str
    log: Callable[[], str]


@pytest.fixture(scope="module", params=["given"] if GIVEN.keys() <= os.environ.keys() else ["cluster", "embedded"])
def exchange(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("clients")
    with {"embedded": embedded, "cluster": cluster, "given": given}[request.param](folder) as place:
        for symbol in ("BTCUSD", "ETHUSD"):
            await_trades(place, symbol)
        yield place


@contextlib.contextmanager
def embedded(folder: Path) -> Iterator[Place]:
    with running_exchange(folder, simulation=True) as venue:
        yield Place(venue.url, venue.url.replace("http", "ws", 1), KEY, SECRET, venue.log)


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[Place]:
    with running_cluster(folder, OUTCRY_LIMITS="off") as running:
        yield Place(running.url, running.stream_url, *running.key(1001), running.log)


@contextlib.contextmanager
def given(_: Path) -> Iterator[Place]:
    """One that runs elsewhere, such as on Kubernetes."""
    yield Place(**{part: os.environ[name] for name, part in GIVEN.items()}, log=lambda: "its log is elsewhere")


def await_trades(venue: Place, symbol: str) -> None:
    """Bots expect a market that trades: a new one gets a minute to begin."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with urllib.request.urlopen(f"{venue.url}/api/v3/trades?symbol={symbol}", timeout=5) as answer:
            if json.load(answer):
                return
        time.sleep(0.2)
    raise AssertionError(f"{symbol} did not trade:\n{venue.log()[-2000:]}")


def python_of(client: str) -> Path:
    """The interpreter that has the client, or a skip (in CI a failure) that says how to get it."""
    path = ROOT / ".venv-clients" / client / "bin" / "python"
    if not path.exists():
        message = f"{client} is not installed; run `make clients`"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return path


def findings(client: str, script: str, exchange: Place) -> dict[str, Any]:
    where = [exchange.url, exchange.key, exchange.secret, exchange.stream_url]
    command = [str(python_of(client)), str(BOTS / script), *where]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def test_ccxt_trades_over_rest(exchange: Place) -> None:
    assert findings("ccxt", "ccxt_rest.py", exchange) == {
        "markets": 8,
        "market_type": "spot",
        "tick": 0.01,
        "ticker_has_bid_and_ask": True,
        "spread_positive": True,
        "resting_status": "open",
        "fetched_price": True,
        "is_open": True,
        "held_usd": True,
        "edited_amount": 0.02,
        "edit_replaced_it": True,
        "canceled_status": "canceled",
        "after_cancel_status": "canceled",
        "bought_status": "closed",
        "bought_filled": 0.005,
        "bought_fee_asset": "BTC",
        "spent_at_most": True,
        "sold_status": "closed",
        "mine_has_fill": True,
        "stop_type": "limit",
        "cleared": 1,
        "candles": 200,
        "public_trades": True,
        "closed_orders": True,
        "tickers": 8,
        "trading_fee": 0.001,
        "clock_difference_ms": True,
        "too_big": "InsufficientFunds",
        "unknown_order": "OrderNotFound",
        "post_only_crossing": "OrderImmediatelyFillable",
        "bad_key": "AuthenticationError",
    }


def test_ccxt_pro_watches_and_trades_over_sockets(exchange: Place) -> None:
    assert findings("ccxt", "ccxt_pro.py", exchange) == {
        "book_sides": True,
        "book_not_crossed": True,
        "trades": True,
        "ticker_last": True,
        "candles": True,
        "best_bid_ask": True,
        "ws_order_status": "closed",
        "watched_order": True,
        "watched_balance": True,
        "ws_cancel_status": "canceled",
    }


def test_python_binance_trades_and_watches(exchange: Place) -> None:
    assert findings("python-binance", "python_binance.py", exchange) == {
        "symbols": 8,
        "tested": True,
        "resting_status": "NEW",
        "canceled_status": "CANCELED",
        "bought_status": "FILLED",
        "fills": True,
        "oco_orders": 2,
        "account_can_trade": True,
        "klines": 50,
        "my_trades": True,
        "all_orders": True,
        "unknown_symbol": -1121,
        "too_precise": -1111,
        "unknown_cancel": -2011,
        "trade_event": "trade",
        "combined": True,
        "user_event": "executionReport",
        "async_status": "FILLED",
        "ws_canceled": "CANCELED",
        "depth_cache": True,
    }


def addresses(place: Place) -> dict[str, Any]:
    """ccxt's `urls.api`, pointed at this exchange."""
    url, sockets = place.url, place.url.replace("http", "ws", 1)
    return {
        "public": url + "/api/v3",
        "private": url + "/api/v3",
        "sapi": url + "/sapi/v1",
        "fapiPublic": url + "/fapi/v1",
        "dapiPublic": url + "/dapi/v1",
        "ws": {"spot": place.stream_url + "/ws", "ws-api": {"spot": sockets + "/ws-api/v3"}},
    }


def freqtrade_settings(place: Place, folder: Path) -> Path:
    """A live (not dry) configuration that trades two pairs of this exchange."""
    ccxt_settings = {"urls": {"api": addresses(place)}}
    settings = {
        "dry_run": False,
        "stake_currency": "USD",
        "stake_amount": 500,
        "max_open_trades": 2,
        "trading_mode": "spot",
        "timeframe": "1m",
        "bot_name": "outcry-test",
        "initial_state": "running",
        "cancel_open_orders_on_exit": True,
        "exchange": {
            "name": "binance",
            "key": place.key,
            "secret": place.secret,
            "pair_whitelist": ["BTC/USD", "ETH/USD"],
            "ccxt_config": ccxt_settings,
            "ccxt_async_config": ccxt_settings,
        },
        "entry_pricing": {"price_side": "other", "use_order_book": True, "order_book_top": 1},
        "exit_pricing": {"price_side": "other", "use_order_book": True, "order_book_top": 1},
        "pairlists": [{"method": "StaticPairList"}],
        "internals": {"process_throttle_secs": 2},
        "db_url": f"sqlite:///{folder}/trades.sqlite",
    }
    path = folder / "config.json"
    path.write_text(json.dumps(settings))
    return path


def closed_trades(database: Path) -> int:
    if not database.exists():
        return 0
    try:
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as db:
            return int(db.execute("SELECT count(*) FROM trades WHERE is_open = 0").fetchone()[0])
    except sqlite3.OperationalError:
        return 0  # not created yet


def test_freqtrade_runs_a_whole_trade(exchange: Place, tmp_path: Path) -> None:
    python = python_of("freqtrade")
    config = freqtrade_settings(exchange, tmp_path)
    command = [
        str(python),
        "-m",
        "freqtrade",
        "trade",
        "--config",
        str(config),
        "--strategy",
        "AlwaysIn",
        "--strategy-path",
        str(BOTS),
        "--userdir",
        str(tmp_path),
    ]
    log = tmp_path / "freqtrade.log"
    with log.open("w") as out:
        bot = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, cwd=tmp_path)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while closed_trades(tmp_path / "trades.sqlite") == 0 and time.monotonic() < deadline and bot.poll() is None:
            time.sleep(1)
        bot.send_signal(signal.SIGINT)
        try:
            bot.wait(30)
        except subprocess.TimeoutExpired:
            bot.kill()
    text = log.read_text()
    assert closed_trades(tmp_path / "trades.sqlite") >= 1, text[-4000:]
    with sqlite3.connect(tmp_path / "trades.sqlite") as db:
        kinds = {row[0] for row in db.execute("SELECT DISTINCT ft_order_side FROM orders")}
    assert {"buy", "sell", "stoploss"} <= kinds, text[-4000:]
