"""The same log gives the same rows, wherever batches are cut, sessions restarted, and hashes seeded."""

import hashlib
import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outcry.roles.engine.session import Session
from tests.support.logs import random_log
from tests.support.paper import PaperLedger

SERVICES = Path(__file__).resolve().parents[2]
SEED = int(os.environ.get("OUTCRY_TEST_SEED", "1"))


def applied(seed: int, commands: int, *, cut: float, restart: float) -> PaperLedger:
    """The ledger after a log; ``cut`` and ``restart`` are chances after each record."""
    records = list(random_log(seed, commands))
    chance = random.Random(seed + 1)
    ledger = PaperLedger(records)
    session = Session(ledger.load())
    for record in records:
        session.apply(record)
        if chance.random() < cut:
            ledger.commit(session.take()[0])
            if chance.random() < restart:
                state = ledger.load()
                session = Session(state)
                session.check(state, record)
    ledger.commit(session.take()[0])
    return ledger


@settings(max_examples=15)
@given(seed=st.integers(0, 1 << 32), cut=st.sampled_from((0.05, 0.5, 1.0)))
def test_batch_cuts_and_restarts_change_nothing(seed: int, cut: float) -> None:
    whole = applied(seed, 600, cut=0, restart=0)
    assert applied(seed, 600, cut=cut, restart=0).contents() == whole.contents()
    assert applied(seed, 600, cut=cut, restart=0.5).contents() == whole.contents()


def test_one_log_leaves_the_same_rows_each_time() -> None:
    whole = applied(SEED, 1_500, cut=0, restart=0)
    assert applied(SEED, 1_500, cut=0.3, restart=0.3).contents() == whole.contents()


@settings(max_examples=15)
@given(seed=st.integers(0, 1 << 32))
def test_money_is_only_moved_never_made(seed: int) -> None:
    ledger = applied(seed, 600, cut=0.1, restart=0)
    per_trade: Counter[tuple[int, int, int]] = Counter()
    held: Counter[tuple[int, int]] = Counter()
    for row in ledger.postings.values():
        per_trade[row.symbol_id, row.trade_id, row.asset_id] += row.free_delta + row.held_delta
        held[row.account_id, row.asset_id] -= row.held_delta
    assert not +per_trade and not -per_trade
    quote = {1: 2, 2: 2}
    base = {1: 1, 2: 3}
    for order_id, amount in ledger.held.items():
        order = ledger.orders[order_id]
        asset = (quote if order.side == 1 else base)[order.symbol_id]
        held[order.account_id, asset] += order.held - amount
    assert not +held and not -held, "what orders were given to hold is what they hold, spent or released"


def digest(seed: int, commands: int) -> str:
    """A hash of everything that a log leaves, in the order in which it was written."""
    contents = applied(seed, commands, cut=0.2, restart=0.2).contents()
    return hashlib.blake2b(repr(contents).encode()).hexdigest()


@pytest.mark.parametrize("hash_seed", ["0", "1", "4711"])
def test_the_hash_seed_changes_nothing(hash_seed: str) -> None:
    code = "from tests.laws.test_determinism import digest; print(digest(5, 1500))"
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(SERVICES)}
    answer = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, timeout=120
    )
    assert answer.stdout.strip() == digest(5, 1500)
