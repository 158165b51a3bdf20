"""The port EvidenceLedger: rows by their place in the log, keys in pages, and outcomes that do not agree."""

import json

from outcry.claims import KeyClaim
from outcry.rows import KEY_KEPT_MS, DeadLetter, KeptKey
from tests.support.storage import ALICE, BOB, START_MS, Storage, filled, mark, order_row, request


async def test_pending_orders_are_those_without_an_outcome(storage: Storage) -> None:
    await storage.own(0)
    resting, waiting = await storage.rest("resting"), await storage.hold("waiting")
    found = await storage.ledger.pending([resting.order_id, waiting.order_id, 99])
    assert [(row.order_id, row.client_order_id) for row in found] == [(waiting.order_id, "waiting")]


async def test_outcomes_are_counted_by_the_record_that_brought_the_order(storage: Storage) -> None:
    await storage.own(0)
    rows = [await storage.rest("first"), await storage.rest("second")]
    await storage.commit(storage.batch(touched_orders=[filled(rows[0])], intake_closed=[rows[0].order_id]))
    assert [await storage.ledger.outcomes(0, *span) for span in ((0, 3), (0, 1), (1, 2), (2, 9))] == [2, 1, 1, 0]
    assert await storage.ledger.outcomes(1, 0, 9) == 0


async def test_dead_letters_come_in_the_order_of_the_log(storage: Storage) -> None:
    await storage.own(0)
    dead = [DeadLetter(0, 1, "two", b"\x00\xff"), DeadLetter(0, 1, "three", b"\x00\xff"), DeadLetter(0, 0, "one", b"")]
    await storage.commit(storage.batch(records=2, dead_letters=dead))
    assert await storage.ledger.dead_letters(0, 0, 2) == [dead[2], dead[0], dead[1]]
    assert await storage.ledger.dead_letters(0, 1, 2) == dead[:2]
    assert await storage.ledger.dead_letters(1, 0, 2) == []


async def test_keys_are_read_in_pages_with_their_orders_and_answers(storage: Storage) -> None:
    await storage.own(0)
    claims = [(ALICE, "b"), (ALICE, "a"), (BOB, "a")]
    held = [
        (await storage.ledger.hold([request(f"{account}{key}", account=account)], [KeyClaim(0, account, key, b"#")]))[0]
        for account, key in claims
    ]
    answer = json.dumps({"status": 200}).encode()
    await storage.ledger.store_response(ALICE, "a", answer)
    until = START_MS + KEY_KEPT_MS
    first = await storage.ledger.kept_keys((0, ""), 2)
    assert first == [
        KeptKey(ALICE, "a", [held[1].order_id], answer, until),
        KeptKey(ALICE, "b", [held[0].order_id], None, until),
    ]
    assert await storage.ledger.kept_keys((ALICE, "b"), 2) == [KeptKey(BOB, "a", [held[2].order_id], None, until)]


async def test_an_order_that_is_open_here_and_closed_there_is_a_stray(storage: Storage) -> None:
    await storage.own(0)
    sound, odd = await storage.rest("sound"), await storage.hold("odd")
    assert (await storage.ledger.money()).strays == []
    row = order_row(odd.order_id, "odd", applied_offset=1)
    await storage.commit(storage.batch(new_orders=[filled(row)], intake_marks=[mark(row)]))
    assert (await storage.ledger.money()).strays == [row.order_id]
    await storage.commit(storage.batch(touched_orders=[sound._replace(open=0, held=0)]))
    assert (await storage.ledger.money()).strays == [sound.order_id, row.order_id]
