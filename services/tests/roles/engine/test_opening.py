"""A session is opened while its state is read, and is the same as one of the whole state."""

import gc

import pytest

from outcry.market.commands import SetInstrument
from outcry.roles.engine.opening import Opening, uncollected
from outcry.roles.engine.session import Session
from outcry.rows import PartState, Record
from tests.roles.engine.test_late_copies import BOUND_MS, order
from tests.support.logs import BTCUSD, record
from tests.support.paper import PaperLedger


@pytest.fixture
def left() -> tuple[PartState, Record]:
    """Three resting orders, and the last record."""
    listing = SetInstrument(command_id=0, symbol_id=1, instrument=BTCUSD)
    records = [record(0, [listing, order(1), order(2), order(3)], timestamp_ms=BOUND_MS)]
    ledger = PaperLedger(records)
    session = Session(ledger.load())
    session.apply(records[0])
    ledger.commit(session.take()[0])
    return ledger.load(), records[0]


def test_a_session_opened_in_pieces_is_the_one_opened_at_once(left: tuple[PartState, Record]) -> None:
    state, tail = left
    opening = Opening()
    opening.begin(state._replace(orders=state.orders[:1]))
    opening.go_on(state.orders[1:])
    opened = opening.check(state, tail)
    assert isinstance(opened, Session)
    assert opened.stands_at(state.row)
    assert opened.snapshots() == Session(state).snapshots()
    assert opened.snapshots()


def test_a_state_that_lacks_an_order_or_a_market_opens_no_session(left: tuple[PartState, Record]) -> None:
    state, tail = left
    lacking, unlisted = Opening(), Opening()
    lacking.begin(state._replace(orders=[]))
    lacking.go_on(state.orders[:2])
    assert "hash" in str(lacking.check(state, tail))
    unlisted.begin(state._replace(orders=[]))
    unlisted.go_on([state.orders[0]._replace(symbol_id=9)])
    unlisted.go_on(state.orders)
    assert str(unlisted.check(state, tail)).startswith("the stored state cannot be built: KeyError")


def test_the_collector_rests_while_partitions_are_loaded() -> None:
    with uncollected(1):
        with uncollected(2):
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()
