"""A copy of a command that comes late does the same whether or not the engine was restarted in between."""

import msgspec
import pytest

from outcry.market.commands import PlaceOrder, ReplaceOrder, SetInstrument
from outcry.market.terms import BUY, LIMIT
from outcry.roles.engine.session import Session
from outcry.roles.engine.window import SLICE_MS
from outcry.rows import Record
from tests.support.logs import BTCUSD, record
from tests.support.paper import PaperLedger

BOUND_MS = SLICE_MS * 1_700_000_000  # the first moment of a slice, so that what comes after it is in the slice too


def order(order_id: int) -> PlaceOrder:
    return PlaceOrder(
        command_id=0, symbol_id=1, order_id=order_id, account=1001, client_order_id=f"c{order_id}", side=BUY,
        type=LIMIT, qty=1, price=100, held=100 * BTCUSD.quote_unit, intake_ms=BOUND_MS - 5_000,
        valid_until_ms=BOUND_MS,
    )  # fmt: skip


def contents(*, restarted: bool, late_ms: int) -> tuple[object, ...]:
    replace = ReplaceOrder(
        command_id=0, symbol_id=1, account=1001, order_id=1, target_valid_until_ms=BOUND_MS, new=order(2)
    )
    again = msgspec.structs.replace(replace, command_id=1)
    listing = SetInstrument(command_id=0, symbol_id=1, instrument=BTCUSD)
    records: list[Record] = [
        record(0, [listing, order(1), replace], timestamp_ms=BOUND_MS),
        record(1, [listing], timestamp_ms=BOUND_MS + late_ms),
        record(2, [again, order(2)], timestamp_ms=BOUND_MS + late_ms),
    ]
    ledger = PaperLedger(records)
    session = Session(ledger.load())
    for each in records:
        session.apply(each)
        ledger.commit(session.take()[0])
        if restarted:
            session = Session(ledger.load())
    return ledger.contents()


@pytest.mark.parametrize("late_ms", [0, 1, SLICE_MS - 1, SLICE_MS])
def test_a_late_copy_of_a_replace_does_the_same_after_a_restart(late_ms: int) -> None:
    assert contents(restarted=True, late_ms=late_ms) == contents(restarted=False, late_ms=late_ms)
