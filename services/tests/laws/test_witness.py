"""Owner and shadow see the same windows wherever they began and however they cut their batches, and no others."""

import random
from collections.abc import Sequence

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from outcry.codec import decode_frame, encode_frame
from outcry.market.commands import PlaceOrder
from outcry.market.terms import LIMIT
from outcry.roles.engine.session import Session
from outcry.roles.engine.witness import WINDOW, Seen, Witness
from outcry.rows import Record
from tests.support.logs import random_log
from tests.support.paper import PaperLedger

COMMANDS = 2_500


def seen(records: Sequence[Record], begin: int, cut: float) -> list[Seen]:
    """The windows that a witness saw who was loaded before record ``begin``; ``cut`` is the chance of a batch's end."""
    chance = random.Random(begin)
    ledger = PaperLedger(list(records))
    session = Session(ledger.load())
    witness = None
    for record in records:
        if record.offset == begin:
            ledger.commit(session.take()[0])
            session = Session(ledger.load())
            witness = session.witness = Witness(begin)
        session.apply(record)
        if chance.random() < cut:
            while session.backlog and chance.random() < 0.5:
                session.resume()
            ledger.commit(session.take()[0])
    assert witness is not None
    return witness.windows


@settings(max_examples=10)
@given(seed=st.integers(0, 1 << 32), begin=st.integers(0, 2 * WINDOW))
def test_windows_are_alike_for_whoever_saw_them_whole(seed: int, begin: int) -> None:
    records = list(random_log(seed, COMMANDS))
    owner = seen(records, 0, 0.5)
    shadow = seen(records, begin, 0.1)
    assert len(owner) == len(records) // WINDOW - 1
    assert shadow == [each for each in owner if each.from_offset >= begin // WINDOW * WINDOW + WINDOW]


def test_one_unit_more_in_one_hold_changes_its_window_and_none_before_it() -> None:
    records = list(random_log(7, COMMANDS))
    at = next(n for n in range(2 * WINDOW, len(records)) if changed(records[n]) is not None)
    other = changed(records[at])
    assert other is not None
    first, second = seen(records, 0, 0.5), seen([*records[:at], other, *records[at + 1 :]], 0, 0.5)
    place = at // WINDOW - 1
    assert first[:place] == second[:place]
    assert first[place] != second[place]


def changed(record: Record) -> Record | None:
    """The record with one unit more in its order's hold, where it is one plain order: one posting differs."""
    try:
        commands = list(decode_frame(record.frame).commands)
    except ValueError:
        return None
    if len(commands) != 1 or not isinstance(commands[0], PlaceOrder) or commands[0].type != LIMIT:
        return None
    order = msgspec.structs.replace(commands[0], held=commands[0].held + 1)
    return record._replace(frame=encode_frame([order]))
