"""The port IntakeLedger: money and client order ids are reserved before anything is journaled."""

import asyncio

import pytest

from outcry.claims import DUPLICATE, HELD, KEY_IN_PROGRESS, KEY_LOST, KEY_MISMATCH, KEY_REPLAY, SHORT, KeyClaim
from tests.support.storage import ALICE, BOB, BTC, MONEY, START_MS, USD, WINDOW_MS, Storage, mark, order_row, request

DAY_MS = 24 * 60 * 60 * 1000


def claim(key: str, payload: bytes = b"p", group: int = 0) -> KeyClaim:
    return KeyClaim(group, ALICE, key, payload)


def following(key: str, claimant: str, group: int = 0) -> KeyClaim:
    return claim(key, group=group)._replace(claimant=claimant, follows=True)


async def statuses(storage: Storage, *requests: object) -> list[str]:
    return [result.status for result in await storage.ledger.hold(requests)]  # type: ignore[arg-type]


async def test_a_hold_moves_money_from_free_to_held(storage: Storage) -> None:
    result = await storage.hold("a", 300)
    assert result.status == HELD
    assert (result.intake_ms, result.valid_until_ms) == (START_MS, START_MS + WINDOW_MS)
    assert await storage.money(ALICE) == (MONEY - 300, 300)


async def test_order_ids_grow_and_refused_requests_take_none(storage: Storage) -> None:
    requests = [request("a", group=0), request("b", MONEY + 1, group=1), request("c", group=2)]
    results = await storage.ledger.hold(requests)
    assert [result.status for result in results] == [HELD, SHORT, HELD]
    assert results[2].order_id == results[0].order_id + 1


async def test_a_hold_of_nothing_is_a_row_without_money(storage: Storage) -> None:
    assert (await storage.hold("a", 0, account=4711)).status == HELD
    assert await storage.ledger.balances(4711) == []


async def test_the_last_cent_can_be_held_and_not_one_more(storage: Storage) -> None:
    assert await statuses(storage, request("a", MONEY, group=0), request("b", 1, group=1)) == [HELD, SHORT]
    assert await storage.money(ALICE) == (0, MONEY)


async def test_an_amount_beyond_all_counting_is_short(storage: Storage) -> None:
    assert (await storage.hold("a", 1 << 70)).status == SHORT


async def test_a_client_order_id_is_unique_among_the_open_orders_of_account_and_symbol(storage: Storage) -> None:
    await storage.hold("a")
    assert (await storage.hold("a")).status == DUPLICATE
    assert (await storage.hold("a", symbol=2)).status == HELD
    assert (await storage.hold("a", account=BOB)).status == HELD
    assert await storage.money(ALICE) == (MONEY - 200, 200)


async def test_a_retry_of_a_live_order_is_a_duplicate_even_without_money(storage: Storage) -> None:
    await storage.hold("a", MONEY)
    assert (await storage.hold("a", MONEY)).status == DUPLICATE
    assert await statuses(storage, request("a", 1, group=0), request("b", 1, group=1)) == [DUPLICATE, SHORT]


async def test_the_same_id_twice_in_one_batch_is_held_once(storage: Storage) -> None:
    assert await statuses(storage, request("a", group=0), request("a", group=1)) == [HELD, DUPLICATE]
    assert await storage.money(ALICE) == (MONEY - 100, 100)


async def test_a_duplicate_spoils_nobody_elses_hold(storage: Storage) -> None:
    await storage.hold("b")
    found = await statuses(storage, *(request(name, 10, group=n) for n, name in enumerate("abc")))
    assert found == [HELD, DUPLICATE, HELD]
    assert await storage.money(ALICE) == (MONEY - 120, 120)


async def test_an_order_pair_is_held_together_with_one_list_id(storage: Storage) -> None:
    legs = [request("a", 50, in_list=True), request("b", 0, in_list=True)]
    above, below = await storage.ledger.hold(legs)
    assert (above.status, below.status) == (HELD, HELD)
    assert above.list_id == below.list_id > 0
    other = await storage.ledger.hold([request("c", 1, in_list=True), request("d", 0, in_list=True)])
    assert other[0].list_id == above.list_id + 1
    assert (await storage.hold("e")).list_id == -1


async def test_an_order_pair_is_refused_together(storage: Storage) -> None:
    await storage.hold("b", 1)
    legs = [request("a", 50, in_list=True), request("b", 0, in_list=True)]
    assert await statuses(storage, *legs) == [DUPLICATE, DUPLICATE]
    assert await storage.ledger.targets([(ALICE, 1, None, "a")]) == [None]
    assert await storage.money(ALICE) == (MONEY - 1, 1)


async def test_a_pair_whose_second_leg_is_short_gives_the_first_leg_back(storage: Storage) -> None:
    legs = [request("a", 50), request("b", MONEY, asset=BTC), request("c", 1, asset=BTC)]
    assert await statuses(storage, *legs) == [SHORT, SHORT, SHORT]
    assert await storage.money(ALICE) == (MONEY, 0)
    assert await storage.money(ALICE, BTC) == (MONEY, 0)


async def test_a_command_is_valid_from_the_later_of_clock_and_log_time(storage: Storage) -> None:
    await storage.own(0)
    await storage.commit(storage.batch(log_time=START_MS + 10_000))
    ahead = await storage.hold("a", window_ms=5_000)
    behind = await storage.hold("b", window_ms=5_000, part=1)
    assert ahead.valid_until_ms == START_MS + 15_000
    assert behind.valid_until_ms == START_MS + 5_000


async def test_holds_side_by_side_never_spend_the_same_money(storage: Storage) -> None:
    one = MONEY // 10
    calls = [storage.hold(f"n{n}", one) for n in range(30)]
    found = [result.status for result in await asyncio.gather(*calls)]
    assert (found.count(HELD), found.count(SHORT)) == (10, 20)
    assert await storage.money(ALICE) == (0, MONEY)


async def test_targets_are_open_rows_by_id_or_name(storage: Storage) -> None:
    held = await storage.hold("a", 70)
    wanted = [
        (ALICE, 1, held.order_id, None),
        (ALICE, 1, None, "a"),
        (ALICE, 1, held.order_id, "a"),
        (ALICE, 1, held.order_id, "other"),
        (BOB, 1, held.order_id, None),
        (ALICE, 2, None, "a"),
        (ALICE, 1, 999, None),
    ]
    found = await storage.ledger.targets(wanted)
    assert [row is not None for row in found] == [True, True, True, False, False, False, False]
    assert found[0] is not None
    assert (found[0].held, found[0].valid_until_ms, found[0].applied_offset) == (70, held.valid_until_ms, None)
    assert found[0].body == request("a", 70).body


async def test_open_targets_are_all_of_an_account_or_of_one_symbol(storage: Storage) -> None:
    for name, symbol in (("a", 1), ("b", 2), ("c", 1)):
        await storage.hold(name, symbol=symbol)
    await storage.hold("d", account=BOB)
    assert [row.client_order_id for row in await storage.ledger.open_targets(ALICE, None)] == ["a", "b", "c"]
    assert [row.client_order_id for row in await storage.ledger.open_targets(ALICE, 1)] == ["a", "c"]


async def test_a_closed_order_is_no_target_and_frees_its_name(storage: Storage) -> None:
    await storage.own(0)
    row = await storage.rest("a")
    closed = row._replace(status=4, held=0, open=0)
    await storage.commit(storage.batch(touched_orders=[closed], intake_closed=[row.order_id]))
    assert await storage.ledger.targets([(ALICE, 1, row.order_id, None)]) == [None]
    assert (await storage.hold("a")).status == HELD


async def test_a_key_in_progress_answers_with_the_first_order(storage: Storage) -> None:
    (first,) = await storage.ledger.hold([request("a")], [claim("k")])
    (again,) = await storage.ledger.hold([request("other")], [claim("k")])
    assert (again.status, again.order_id) == (KEY_IN_PROGRESS, first.order_id)
    assert await storage.money(ALICE) == (MONEY - 100, 100)


async def test_a_key_with_an_answer_replays_it(storage: Storage) -> None:
    await storage.ledger.hold([request("a")], [claim("k")])
    await storage.ledger.store_response(ALICE, "k", b"the answer")
    (again,) = await storage.ledger.hold([request("a")], [claim("k")])
    assert (again.status, again.response) == (KEY_REPLAY, b"the answer")


async def test_a_key_used_for_something_else_is_a_mismatch(storage: Storage) -> None:
    await storage.ledger.hold([request("a")], [claim("k")])
    (again,) = await storage.ledger.hold([request("b")], [claim("k", b"q")])
    assert again.status == KEY_MISMATCH


async def test_only_the_claimant_of_a_key_places_more_under_it(storage: Storage) -> None:
    await storage.ledger.hold([request("a")], [claim("k")._replace(claimant="one")])
    keys = [following("k", "one", 0), following("k", "other", 1), following("free", "one", 2), following("k", "one", 3)]
    results = await storage.ledger.hold([request(name, group=n) for n, name in enumerate("bcde")], keys)
    assert [result.status for result in results] == [HELD, KEY_LOST, KEY_LOST, HELD]
    assert await storage.money(ALICE) == (MONEY - 300, 300)
    (again,) = await storage.ledger.hold([request("a")], [claim("k")])
    assert (again.status, again.order_id) == (KEY_IN_PROGRESS, results[0].order_id - 1), "the key's order is the first"


async def test_nothing_enters_under_a_key_once_it_is_closed(storage: Storage) -> None:
    await storage.ledger.hold([request("a")], [claim("k")._replace(claimant="one")])
    storage.clock.ms += 9_999
    assert not await storage.ledger.close_key(ALICE, "k", 10_000), "it was taken too lately"
    assert [r.status for r in await storage.ledger.hold([request("b")], [following("k", "one")])] == [HELD]
    storage.clock.ms += 1
    assert await storage.ledger.close_key(ALICE, "k", 10_000)
    assert [r.status for r in await storage.ledger.hold([request("c")], [following("k", "one")])] == [KEY_LOST]
    assert (await storage.ledger.hold([request("a")], [claim("k")]))[0].status == KEY_IN_PROGRESS
    assert await storage.ledger.close_key(ALICE, "k", 10_000), "who asks again is told the same"


async def test_the_first_answer_under_a_key_is_kept_and_nothing_enters_after_it(storage: Storage) -> None:
    await storage.ledger.hold([request("a")], [claim("k")._replace(claimant="one")])
    await storage.ledger.store_response(ALICE, "k", b"the answer")
    await storage.ledger.store_response(ALICE, "k", b"another")
    (again,) = await storage.ledger.hold([request("a")], [claim("k")])
    assert (again.status, again.response) == (KEY_REPLAY, b"the answer")
    assert [r.status for r in await storage.ledger.hold([request("b")], [following("k", "one")])] == [KEY_LOST]


async def test_the_same_key_twice_in_one_batch_is_claimed_once(storage: Storage) -> None:
    keys = [claim("k", group=0), claim("k", group=1), claim("k", b"q", group=2)]
    results = await storage.ledger.hold([request(name, group=n) for n, name in enumerate("abc")], keys)
    assert [result.status for result in results] == [HELD, KEY_IN_PROGRESS, KEY_MISMATCH]
    assert results[1].order_id == results[0].order_id


async def test_a_refused_hold_leaves_no_key(storage: Storage) -> None:
    assert (await storage.ledger.hold([request("a", MONEY + 1)], [claim("k")]))[0].status == SHORT
    assert (await storage.ledger.hold([request("a", 1)], [claim("k", b"q")]))[0].status == HELD


async def test_a_key_is_forgotten_after_a_day(storage: Storage) -> None:
    await storage.ledger.hold([request("a")], [claim("k")])
    storage.clock.ms += DAY_MS - 1
    assert (await storage.ledger.hold([request("b")], [claim("k")]))[0].status == KEY_IN_PROGRESS
    storage.clock.ms += 1
    assert (await storage.ledger.hold([request("b")], [claim("k", b"q")]))[0].status == HELD


async def test_keys_of_two_accounts_do_not_meet(storage: Storage) -> None:
    await storage.ledger.hold([request("a")], [claim("k")])
    (other,) = await storage.ledger.hold([request("a", account=BOB)], [KeyClaim(0, BOB, "k", b"q")])
    assert other.status == HELD


async def test_ids_go_on_where_they_were_when_intake_rows_are_gone(storage: Storage) -> None:
    await storage.own(0)
    row = await storage.rest("a")
    closed = row._replace(status=4, held=0, open=0)
    batch = storage.batch(touched_orders=[closed], intake_closed=[row.order_id], log_time=START_MS + 60_000)
    await storage.commit(batch)
    assert await storage.ledger.sweep_intake(0) == 1
    assert (await storage.hold("b")).order_id == row.order_id + 1


async def test_a_key_row_is_swept_once_expired(storage: Storage) -> None:
    await storage.own(0)
    await storage.ledger.hold([request("a")], [claim("k")])
    storage.clock.ms += DAY_MS + 1
    await storage.ledger.sweep_intake(0)
    assert (await storage.ledger.hold([request("b")], [claim("k", b"q")]))[0].status == HELD


async def test_an_amount_below_zero_is_our_bug_and_changes_nothing(storage: Storage) -> None:
    with pytest.raises(AssertionError):
        await storage.hold("a", -1)
    assert await storage.money(ALICE) == (MONEY, 0)
    assert (await storage.hold("a", 1)).status == HELD


async def test_one_failing_write_does_not_touch_the_others_of_its_transaction(storage: Storage) -> None:
    calls = [storage.hold(f"n{n}", -1 if n == 7 else 10) for n in range(20)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [n for n, result in enumerate(results) if isinstance(result, BaseException)] == [7]
    assert await storage.money(ALICE) == (MONEY - 190, 190)


async def test_an_order_that_takes_a_new_name_is_found_by_it(storage: Storage) -> None:
    await storage.own(0)
    row = await storage.rest("old")
    await storage.commit(storage.batch(touched_orders=[row._replace(client_order_id="new", qty=4)]))
    by_new, by_old = await storage.ledger.targets([(ALICE, 1, None, "new"), (ALICE, 1, None, "old")])
    assert by_new is not None and by_new.order_id == row.order_id
    assert by_old is None
    stored = await storage.ledger.order(ALICE, 1, None, "new")
    assert stored is not None and stored.qty == 4
    assert (await storage.hold("old")).status == HELD


async def test_a_new_name_that_was_taken_meanwhile_does_not_stop_the_engine(storage: Storage) -> None:
    await storage.own(0)
    row = await storage.rest("old")
    await storage.hold("new")
    renamed = row._replace(client_order_id="new")
    assert await storage.commit(storage.batch(touched_orders=[renamed])) == {0}
    (stored,) = await storage.ledger.orders_by_id([row.order_id])
    assert stored == renamed


async def test_a_ledger_that_answers_says_so(storage: Storage) -> None:
    await storage.ledger.ping()


async def test_holding_for_an_order_row_and_its_mark_agree(storage: Storage) -> None:
    await storage.own(0)
    held = await storage.hold("a", 40)
    row = order_row(held.order_id, "a", held=40)
    await storage.commit(storage.batch(new_orders=[row], intake_marks=[mark(row)]))
    (target,) = await storage.ledger.targets([(ALICE, 1, held.order_id, None)])
    assert target is not None and target.applied_offset == 0
    assert target.asset_id == USD
