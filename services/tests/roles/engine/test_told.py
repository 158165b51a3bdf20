"""What clients were told under their keys is what the ledger says; anything else is found."""

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from outcry.adapters.clock import SystemClock
from outcry.adapters.sqlite import Store
from outcry.roles.engine.verify import Report, verify
from tests.support.traders import ORDER, market

TERMS = {"symbol": "BTCUSD", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.5", "price": "50000"}
BUY, SELL = {**TERMS, "side": "BUY"}, {**TERMS, "side": "SELL", "quantity": "0.2"}
POST_ONLY = {"symbol": "BTCUSD", "side": "SELL", "type": "LIMIT_MAKER", "quantity": "0.1", "price": "50000"}

# What is done to a key's row, by column or to the text of its answer, and what is then found.
TAMPERED: dict[str, tuple[str, str, Any, str]] = {
    "an order of somebody else": ("sold", "account_id", 1001, "belongs to account"),
    "one order under two keys": ("sold", "order_ids", "[1]", "was placed under key"),
    "an order that is none": ("lost", "order_ids", "[77]", "77 does not exist"),
    "an answer that is none": ("rested", "response", b"no answer", "cannot be read"),
    "an answer about another order": ("rested", '"orderId":1,', '"orderId":88,', "was not placed"),
    "a refusal of what was placed": ("sold", "response", b'{"status":400,"body":{"code":-2010}}', "was not placed"),
    "another market": ("sold", '"BTCUSD"', '"ETHUSD"', "its symbol is BTCUSD"),
    "another side": ("sold", '"SELL"', '"BUY"', "its side is SELL"),
    "an end it did not have": ("sold", '"FILLED"', '"CANCELED"', "its status is FILLED"),
    "more than was filled": ("sold", '"executedQty":"0.2', '"executedQty":"0.3', "its executedQty is 20000000"),
    "more than was paid": ("sold", '"cummulativeQuoteQty":"1', '"cummulativeQuoteQty":"2', "cummulativeQuoteQty is"),
    "a size that is none": ("sold", '"executedQty":"0.2', '"executedQty":"x', "its executedQty is 20000000"),
    "a trade of somebody else": ("sold", '"tradeId":1', '"tradeId":2', "is not its own"),
    "a trade that never was": ("sold", '"tradeId":1', '"tradeId":"x"', "is not its own"),
    "another price of a trade": ("sold", '"qty":"0.2', '"qty":"0.1', "is not its own"),
    "in a batch": ("batch", '"executedQty":"0.0', '"executedQty":"0.1', "executedQty is 0"),
}


async def trade(folder: Path) -> None:
    """Keyed orders of all kinds: one rests, one fills, one is refused by the market, a batch, one never answered."""
    async with market(folder) as (one, two, exchange):
        assert (await one.send(ORDER, BUY, "rested"))[0] == 200
        assert (await two.send(ORDER, SELL, "sold"))[1]["status"] == "FILLED"
        assert (await two.send(ORDER, POST_ONLY, "refused"))[1]["code"] == -2010
        orders = [{**SELL, "price": price} for price in ("50000.001", "70000", "70001")]
        assert len((await two.send("/v1/orders:batch", {"orders": orders}, "batch"))[1]["results"]) == 3
        assert (await one.send(ORDER, {**BUY, "price": "40000"}, "lost"))[0] == 200

        def forget(work: object) -> int:
            return work.db.execute("UPDATE idempotency SET response = NULL WHERE key = 'lost'").rowcount  # type: ignore[attr-defined]

        await exchange.store.ledger._writer.do(forget)


async def proven(folder: Path) -> Report:
    store = Store(folder / "outcry.db", clock=SystemClock(), read_only=True)
    store.open()
    try:
        return await verify(store.ledger, store.journal, lambda line: None)
    finally:
        store.close()


@pytest.fixture(scope="module")
def traded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("traded")


async def test_keys_and_answers_that_are_sound_are_counted(traded: Path) -> None:
    await trade(traded)
    report = await proven(traded)
    assert report.problems == []
    assert any("each of 5 keys" in line and "4 kept answers" in line for line in report.checked)


def tamper(path: Path, key: str, what: str, becomes: Any) -> None:
    with sqlite3.connect(path) as ledger:
        if what.isidentifier():
            assert ledger.execute(f"UPDATE idempotency SET {what} = ? WHERE key = ?", (becomes, key)).rowcount == 1
        else:
            (response,) = ledger.execute("SELECT response FROM idempotency WHERE key = ?", (key,)).fetchone()
            assert what.encode() in response, response
            changed = response.replace(what.encode(), becomes.encode())
            ledger.execute("UPDATE idempotency SET response = ? WHERE key = ?", (changed, key))
    ledger.close()


async def problems_after(traded: Path, copy: Path, key: str, change: tuple[str, Any]) -> list[str]:
    if not (traded / "outcry.db").exists():
        await trade(traded)
    shutil.copytree(traded, copy)
    tamper(copy / "outcry.db", key, *change)
    return (await proven(copy)).problems


@pytest.mark.parametrize("what", TAMPERED)
async def test_what_a_client_cannot_have_been_told_is_found(traded: Path, tmp_path: Path, what: str) -> None:
    key, *change, words = TAMPERED[what]
    problems = await problems_after(traded, tmp_path / "copy", key, (change[0], change[1]))
    assert any(words in problem for problem in problems), problems
    assert all(problem.startswith("key ") for problem in problems), problems


async def test_an_order_that_the_market_refused_was_not_placed(traded: Path, tmp_path: Path) -> None:
    told = b'{"status":200,"body":{"symbol":"BTCUSD","orderId":3}}'
    problems = await problems_after(traded, tmp_path / "copy", "refused", ("response", told))
    assert problems == ["key 'refused' of account 1002: order 3 is REJECTED, the client was told it was placed"]
