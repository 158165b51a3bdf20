"""Clients that follow the depth procedure of a running exchange hold the log's book; one that does not is found."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from outcry.roles.engine import follower as follower_module
from outcry.roles.engine import streams as streams_module
from outcry.roles.engine.follower import streams_at
from outcry.roles.engine.streams import Depth, Followed, Print, Seen, Streams
from outcry.roles.engine.verify import verify
from outcry.wiring.embedded import Exchange
from tests.support.inprocess import running
from tests.support.served import served

SYMBOLS = 8
BUSY: dict[str, Any] = {"simulation_enabled": True, "simulation_orders_per_sec": 300.0}


@contextlib.asynccontextmanager
async def trading(folder: Path, **settings: Any) -> AsyncIterator[tuple[Exchange, str]]:
    """A served exchange whose crowd has begun to trade ETHUSD."""
    async with running(folder, **{**BUSY, **settings}) as (exchange, client), served(exchange.app) as address:
        trades: list[Any] = []
        while len(trades) < 5:
            _, trades = await client.get("/api/v3/trades", symbol="ETHUSD")
            await asyncio.sleep(0.05)
        yield exchange, f"http://{address}"


def bent(streams: Streams, change: Callable[[Seen], Seen]) -> Streams:
    """The streams, with something wrong in what is seen of ETHUSD."""

    async def follow(symbols: Sequence[str]) -> Mapping[str, Seen]:
        seen = await streams(symbols)
        return {**seen, "ETHUSD": change(seen["ETHUSD"])}

    return follow


async def followed(exchange: Exchange, streams: Streams) -> Followed:
    check = Followed(exchange.store.ledger, exchange.store.journal, streams)
    await check.follow()
    return check


async def test_the_books_of_followers_are_the_logs(tmp_path: Path) -> None:
    async with trading(tmp_path) as (exchange, url):
        report = await verify(
            exchange.store.ledger, exchange.store.journal, lambda line: None, streams_at(url, seconds=1.0)
        )
        assert (report.problems, report.unchecked) == ([], [])
        (line,) = [line for line in report.checked if line.startswith("streams: clients followed 8 symbols; ")]
        assert int(line.split("; ")[1].split()[0]) > 2 * SYMBOLS, line
        assert " and 0 trades" not in line


async def test_a_quiet_market_is_proven_by_its_snapshot(tmp_path: Path) -> None:
    async with running(tmp_path) as (exchange, _), served(exchange.app) as address:
        check = await followed(exchange, streams_at(f"http://{address}", seconds=0.1))
        assert (check.problems, check.unchecked) == ([], [])
        assert "followed 8 symbols; 8 times" in check.checked[0]


def later(seen: Seen) -> list[Depth]:
    """The diffs behind the snapshot."""
    return [diff for diff in seen.diffs if diff.last_u > seen.snapshot.last_u]


def without_a_diff(seen: Seen) -> Seen:
    first, _, *rest = later(seen)
    return seen._replace(diffs=[first, *rest])


def without_the_first_diff(seen: Seen) -> Seen:
    return seen._replace(diffs=later(seen)[1:])


def with_another_quantity(seen: Seen) -> Seen:
    last = seen.diffs[-1]
    changed = [(price, "7.77770000") for price, _ in last.bids], [(price, "7.77770000") for price, _ in last.asks]
    return seen._replace(diffs=[*seen.diffs[:-1], Depth(last.first_u, last.last_u, *changed)])


def with_a_level_less(seen: Seen) -> Seen:
    return seen._replace(snapshot=seen.snapshot._replace(bids=seen.snapshot.bids[1:]))


def with_a_larger_level(seen: Seen) -> Seen:
    (price, _), *rest = seen.snapshot.bids
    return seen._replace(snapshot=seen.snapshot._replace(bids=[(price, "0.20000000"), *rest]))


def with_half_a_lot(seen: Seen) -> Seen:
    price, _ = seen.snapshot.bids[0]
    return seen._replace(snapshot=seen.snapshot._replace(bids=[(price, "0.00000001"), *seen.snapshot.bids[1:]]))


def with_an_update_too_many(seen: Seen) -> Seen:
    last_u = max(seen.snapshot.last_u, *(diff.last_u for diff in seen.diffs))
    return seen._replace(diffs=[*seen.diffs, Depth(last_u + 1, last_u + 9_000_000, [], [])])


def without_a_trade(seen: Seen) -> Seen:
    return seen._replace(prints=[*seen.prints[:1], *seen.prints[2:]])


def with_another_price(seen: Seen) -> Seen:
    return seen._replace(prints=[seen.prints[0]._replace(price="1.00000000"), *seen.prints[1:]])


def with_a_trade_too_many(seen: Seen) -> Seen:
    last = seen.prints[-1].trade_id
    more = [Print(last + n, "1.00000000", "1.00000000") for n in range(1, 100_000)]
    return seen._replace(prints=[*seen.prints, *more])


BENT: dict[str, tuple[Callable[[Seen], Seen], str]] = {
    "a diff is missing": (without_a_diff, "a diff begins at"),
    "the first diff is missing": (without_the_first_diff, "the first diff begins at"),
    "another quantity": (with_another_quantity, "a client has"),
    "a level less": (with_a_level_less, "a client has 0 lots to BUY"),
    "no whole lot": (with_half_a_lot, "no whole number of lots"),
    "an update too many": (with_an_update_too_many, "the log has none such"),
    "a trade is missing": (without_a_trade, "are not dense"),
    "another price": (with_another_price, "a trade of ETHUSD differs"),
    "a trade too many": (with_a_trade_too_many, "ETHUSD"),
}


@pytest.mark.parametrize("what", BENT)
async def test_a_stream_that_tells_something_else_is_found(tmp_path: Path, what: str) -> None:
    change, words = BENT[what]
    async with trading(tmp_path, simulation_symbols=("ETHUSD",), simulation_history_hours=0) as (exchange, url):
        check = await followed(exchange, bent(streams_at(url, seconds=1.0), change))
    assert len(check.problems) == 1 and words in check.problems[0], check.problems
    assert check.checked == []


async def test_levels_below_a_full_snapshot_are_not_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (streams_module, follower_module):
        monkeypatch.setattr(module, "SNAPSHOT_LEVELS", 5)
    async with running(tmp_path) as (exchange, client), served(exchange.app) as address:
        for side, cheapest in (("BUY", 2000), ("SELL", 3000)):
            order = {"symbol": "ETHUSD", "side": side, "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.1"}
            for price in range(cheapest, cheapest + 8):
                assert (await client.signed("POST", "/api/v3/order", **order, price=price))[0] == 200
        real = streams_at(f"http://{address}", seconds=0.1)
        check = await followed(exchange, real)
        assert (check.problems, check.unchecked) == ([], [])
        check = await followed(exchange, bent(real, with_a_larger_level))
        assert "a client has 2000 lots to BUY at 200700 ticks" in check.problems[0]


async def test_an_exchange_that_does_not_answer_is_not_checked(tmp_path: Path) -> None:
    async with running(tmp_path) as (exchange, _):
        check = await followed(exchange, streams_at("http://127.0.0.1:1", seconds=0.1))
        assert (check.problems, check.checked) == ([], [])
        assert "ws://127.0.0.1:1/stream, with books from http://127.0.0.1:1, could not be" in check.unchecked[0]


async def test_a_halted_partition_has_no_stream_to_follow(tmp_path: Path) -> None:
    async with running(tmp_path) as (exchange, _), served(exchange.app) as address:
        (row, *_) = await exchange.store.ledger.partitions()
        await exchange.store.lease.halt(row.part, row.epoch, "a person must decide")
        check = await followed(exchange, streams_at(f"http://{address}", seconds=0.1))
        assert check.problems == [] and "followed 6 symbols" in check.checked[0]
