"""The port Registry: accounts, keys, assets, money in and out, each with its audit row."""

import asyncio

import pytest

from outcry.ports import ReferenceTaken, Transfer
from outcry.rows import AccountRow, AuditRow, CandleRow, KeyRow
from tests.support.storage import ALICE, BOB, BTC, MONEY, START_MS, USD, Storage, posting

CAROL = AccountRow(1003, "Carol", 100, 200, 0, START_MS)
KEY = KeyRow("key-1", 1003, "HMAC", b"\x00sealed\xff", "read,trade", "10.0.0.0/8", START_MS, 0, 0)


async def actions(storage: Storage) -> list[tuple[str, str, str]]:
    return [(row.actor, row.action, row.subject) for row in await storage.ledger.audit_log(3)]


async def test_an_account_is_created_once(storage: Storage) -> None:
    await storage.ledger.create_account(CAROL, "root")
    assert await storage.ledger.account(1003) == CAROL
    assert await storage.ledger.account(4711) is None
    assert await storage.ledger.accounts() == [CAROL]
    with pytest.raises(ValueError, match="1003"):
        await storage.ledger.create_account(CAROL._replace(name="other"), "root")
    assert await storage.ledger.accounts() == [CAROL]
    assert (await actions(storage))[0] == ("root", "create account", "1003")


async def test_freezing_is_seen_and_audited(storage: Storage) -> None:
    await storage.ledger.create_account(CAROL, "root")
    await storage.ledger.freeze_account(1003, True, "root")
    assert await storage.ledger.account(1003) == CAROL._replace(frozen=1)
    await storage.ledger.freeze_account(1003, False, "root")
    assert await storage.ledger.account(1003) == CAROL
    assert [action for _, action, _ in await actions(storage)] == [
        "unfreeze account",
        "freeze account",
        "create account",
    ]


async def test_a_key_lives_until_it_is_revoked(storage: Storage) -> None:
    await storage.ledger.create_key(KEY, "root")
    assert await storage.ledger.key("key-1") == KEY
    assert await storage.ledger.key("KEY-1") is None
    with pytest.raises(ValueError, match="key-1"):
        await storage.ledger.create_key(KEY._replace(account_id=ALICE), "root")
    assert await storage.ledger.revoke_key("key-1", START_MS + 5, "root")
    assert not await storage.ledger.revoke_key("key-1", START_MS + 6, "root")
    assert not await storage.ledger.revoke_key("nobody", START_MS, "root")
    assert await storage.ledger.key("key-1") == KEY._replace(revoked_ms=START_MS + 5)


async def test_keys_are_read_together_with_their_accounts(storage: Storage) -> None:
    bound = KEY._replace(api_key="key-2", account_id=1004, secret=b"\xff", revoked_ms=START_MS)
    dave = AccountRow(1004, "Dave", 1, 2, 1, START_MS)
    for account in (CAROL, dave):
        await storage.ledger.create_account(account, "root")
    for key in (KEY, bound, KEY._replace(api_key="key-3", account_id=4711)):
        await storage.ledger.create_key(key, "root")
    wanted = ["key-1", "key-2", "key-3", "KEY-1", "key-2", 'key-"\u00fc\\']
    assert sorted(set(await storage.ledger.credentials(wanted))) == [(KEY, CAROL), (bound, dave)]
    assert await storage.ledger.credentials([]) == []


async def test_keys_are_listed_by_account(storage: Storage) -> None:
    other = KEY._replace(api_key="key-2", account_id=ALICE, kind="ED25519")
    await storage.ledger.create_key(KEY, "root")
    await storage.ledger.create_key(other, "root")
    assert await storage.ledger.keys() == [other, KEY]
    assert await storage.ledger.keys(1003) == [KEY]


async def test_an_asset_has_one_id_for_ever(storage: Storage) -> None:
    first, again = await storage.ledger.add_asset("ETH", "root"), await storage.ledger.add_asset("ETH", "root")
    assert first == again
    assert [row.asset for row in await storage.ledger.assets()] == ["USD", "BTC", "ETH"]
    rows = await asyncio.gather(*(storage.ledger.add_asset(name, "root") for name in ("ADA", "DOT", "SOL", "ADA")))
    assert sorted({row.asset_id for row in rows}) == [4, 5, 6] and rows[0] == rows[3]
    assert sorted(rows[:3]) == (await storage.ledger.assets())[3:]


async def test_a_reference_moves_money_once(storage: Storage) -> None:
    calls = [storage.ledger.transfer(ALICE, USD, 500, "wire 1", actor="root") for _ in range(5)]
    assert await asyncio.gather(*calls) == [Transfer.MOVED] + [Transfer.REPEATED] * 4
    assert await storage.money(ALICE) == (MONEY + 500, 0)


@pytest.mark.parametrize("other", [(BOB, USD, 500), (ALICE, BTC, 500), (ALICE, USD, 501), (ALICE, USD, -500)])
async def test_a_reference_belongs_to_one_transfer(storage: Storage, other: tuple[int, int, int]) -> None:
    await storage.ledger.transfer(ALICE, USD, 500, "wire 1", actor="root")
    with pytest.raises(ReferenceTaken, match=f"'wire 1' was used for a deposit of 0.00000500 USD, account {ALICE}"):
        await storage.ledger.transfer(*other, "wire 1", actor="root")
    assert await storage.money(ALICE) == (MONEY + 500, 0)
    assert (await storage.money(BOB), await storage.money(ALICE, BTC)) == ((MONEY, 0), (MONEY, 0))


async def test_transfers_are_told_by_their_numbers(storage: Storage) -> None:
    before = await storage.ledger.newest_transfer()
    for account, amount in ((ALICE, 500), (BOB, 600), (ALICE, -300)):
        await storage.ledger.transfer(account, USD, amount, f"wire {amount}", actor="root")
    told = await storage.ledger.transfers([ALICE, BOB], before, 10)
    assert [(row.account_id, row.asset_id, row.amount) for row in told] == [
        (ALICE, USD, 500), (BOB, USD, 600), (ALICE, USD, -300),
    ]  # fmt: skip
    assert [row.transfer_id for row in told] == sorted({row.transfer_id for row in told})
    assert told[-1].transfer_id == await storage.ledger.newest_transfer()
    assert await storage.ledger.transfers([ALICE], before, 1) == told[:1]
    assert await storage.ledger.transfers([ALICE], told[0].transfer_id, 10) == told[2:]
    assert await storage.ledger.transfers([4711], before, 10) == []


async def test_what_came_from_the_world_the_world_owes(storage: Storage) -> None:
    assert await storage.ledger.transfer(ALICE, USD, -300, "out", actor="root")
    assert await storage.money(0, USD) == (-2 * MONEY + 300, 0)
    assert await storage.money(0, BTC) == (-2 * MONEY, 0)


async def test_only_free_money_can_leave(storage: Storage) -> None:
    await storage.hold("a", 10)
    assert not await storage.ledger.transfer(ALICE, USD, -MONEY, "too much", actor="root")
    assert await storage.ledger.transfer(ALICE, USD, -(MONEY - 10), "just right", actor="root")
    assert await storage.money(ALICE) == (0, 10)
    assert not await storage.ledger.transfer(4711, USD, -1, "nobody", actor="root")


async def test_withdrawals_at_once_take_no_more_than_there_is(storage: Storage) -> None:
    calls = [storage.ledger.transfer(ALICE, USD, -(MONEY // 3), f"out {n}", actor="root") for n in range(8)]
    outcomes = await asyncio.gather(*calls)
    assert sorted(outcomes) == [Transfer.SHORT] * 5 + [Transfer.MOVED] * 3
    assert await storage.money(ALICE) == (MONEY - 3 * (MONEY // 3), 0)
    assert await storage.ledger.transfer(ALICE, USD, 1, f"out {outcomes.index(Transfer.SHORT)}", actor="root")


async def test_money_that_was_just_won_can_leave_at_once(storage: Storage) -> None:
    await storage.own(0)
    await storage.commit(
        storage.batch(postings=[posting(ALICE, 50, 0, offset=0), posting(BOB, -50, 0, offset=0, idx=1)])
    )
    assert await storage.ledger.transfer(ALICE, USD, -(MONEY + 50), "all", actor="root")
    assert await storage.money(ALICE) == (0, 0)


async def test_the_venue_never_holds_more_than_it_can_count(storage: Storage) -> None:
    with pytest.raises(ValueError, match="minor units"):
        await storage.ledger.transfer(ALICE, USD, 1 << 62, "greed", actor="root")
    assert await storage.money(ALICE) == (MONEY, 0)


async def test_history_never_overwrites_a_candle(storage: Storage) -> None:
    real = CandleRow(1, 60_000, 60_000, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9)
    await storage.own(0)
    await storage.commit(storage.batch(candles=[real]))
    made_up = [CandleRow(1, 60_000, n * 60_000, 1, 1, 1, 1, 0, 0, 0, 0, 0, -1, -1) for n in range(3)]
    await storage.ledger.put_candles(made_up)
    assert await storage.ledger.candles(1, 60_000) == [made_up[0], real, made_up[2]]


async def test_a_long_history_is_written_whole(storage: Storage) -> None:
    rows = [CandleRow(1, 60_000, n * 60_000, 1, 1, 1, 1, 0, 0, 0, 0, 0, -1, -1) for n in range(21_000)]
    await storage.ledger.put_candles(rows)
    assert await storage.ledger.candles(1, 60_000, limit=50_000) == rows


async def test_the_audit_log_has_the_newest_first(storage: Storage) -> None:
    for n in range(3):
        await storage.ledger.audit(AuditRow(START_MS + n, "root", "look", str(n), "{}"))
    assert [row.subject for row in await storage.ledger.audit_log(2)] == ["2", "1"]
