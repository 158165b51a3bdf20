"""The embedded exchange's file: one owner, migrations, damage, a full disk, kill -9, reading beside a writer."""

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from outcry.adapters.sqlite import InUse, Store, schema, writer
from outcry.adapters.sqlite.faults import fault_of
from outcry.ports import Damaged, DiskFull, OutcomeUnknown, OutOfService
from tests.support.storage import ALICE, BTC, MONEY, HandClock, Storage, fund, order_row, request, sqlite_storage

SERVICES = Path(__file__).resolve().parents[2]


def opened(path: Path, *, read_only: bool = False) -> Store:
    store = Store(path, clock=HandClock(), read_only=read_only)
    store.open()
    return store


async def test_everything_is_there_after_closing_and_opening(tmp_path: Path) -> None:
    async with sqlite_storage(tmp_path) as storage:
        await fund(storage)
        await storage.own(0)
        row = await storage.rest("a", 100)
        await storage.journal.append([(0, b"one"), (0, b"two")])
    async with sqlite_storage(tmp_path) as storage:
        assert await storage.money(ALICE) == (MONEY - 100, 100)
        assert await storage.journal.end_offsets() == {0: 2}
        assert await storage.journal.append([(0, b"three")]) == [2]
        assert [record.frame for record in await storage.journal.read({0: 0}, 9, 0)] == [b"one", b"two", b"three"]
        owner = await storage.own(0)
        assert owner.epoch == 2
        assert (await storage.ledger.load(0)).orders == [row]
        assert (await storage.hold("b")).order_id == row.order_id + 1


def started(code: str) -> subprocess.Popen[bytes]:
    """Another Python that runs the code."""
    environment = {**os.environ, "PYTHONPATH": str(SERVICES)}
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("this machine does not let us mount a small disk")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=False)


def test_a_second_owner_is_told_who_the_first_is(tmp_path: Path) -> None:
    store = opened(tmp_path / "x.db")
    try:
        with pytest.raises(InUse, match=f"already running as process {os.getpid()}"):
            opened(tmp_path / "x.db")
    finally:
        store.close()
    opened(tmp_path / "x.db").close()


def test_the_lock_dies_with_its_process(tmp_path: Path) -> None:
    code = f"""
import time
from outcry.adapters.clock import SystemClock
from outcry.adapters.sqlite import Store
Store({str(tmp_path / "x.db")!r}, clock=SystemClock()).open()
print("open", flush=True)
time.sleep(60)
"""
    child = started(code)
    assert child.stdout is not None
    assert child.stdout.readline() == b"open\n"
    with pytest.raises(InUse, match=str(child.pid)):
        opened(tmp_path / "x.db")
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    opened(tmp_path / "x.db").close()


async def test_a_killed_writer_leaves_every_acknowledged_record(tmp_path: Path) -> None:
    code = f"""
import asyncio
from outcry.adapters.clock import SystemClock
from outcry.adapters.sqlite import Store
async def main():
    store = Store({str(tmp_path / "outcry.db")!r}, clock=SystemClock())
    store.open()
    number = 0
    while True:
        offsets = await store.journal.append([(0, b"%d" % (number + n)) for n in range(5)])
        number += 5
        print(offsets[-1], flush=True)
asyncio.run(main())
"""
    child = started(code)
    assert child.stdout is not None
    for _ in range(50):
        acknowledged = int(child.stdout.readline())
    child.kill()
    acknowledged = max([acknowledged, *map(int, child.stdout.read().split(b"\n")[:-1])])
    child.stdout.close()
    child.wait()
    beside = await asyncio.to_thread(opened, tmp_path / "outcry.db", read_only=True)
    seen = (await beside.journal.end_offsets())[0]
    await asyncio.to_thread(beside.close)
    async with sqlite_storage(tmp_path) as storage:
        end = (await storage.journal.end_offsets())[0]
        assert end == seen > acknowledged
        records = await storage.journal.read({0: 0}, 1_000_000, 0)
        assert [record.frame for record in records] == [b"%d" % n for n in range(end)]


async def test_a_reader_sees_a_running_exchange_and_can_write_nothing(tmp_path: Path) -> None:
    async with sqlite_storage(tmp_path) as storage:
        await fund(storage)
        beside = await asyncio.to_thread(opened, tmp_path / "outcry.db", read_only=True)
        try:
            await storage.hold("a", 10)
            assert {row.asset_id: row.held for row in await beside.ledger.balances(ALICE)}[1] == 10
            with pytest.raises(OutOfService):
                await beside.ledger.hold([request("b")])
            with pytest.raises(OutOfService):
                await beside.journal.append([(0, b"x")])
        finally:
            await asyncio.to_thread(beside.close)


def test_a_stopped_exchange_can_be_read_without_an_owner(tmp_path: Path) -> None:
    opened(tmp_path / "x.db").close()
    opened(tmp_path / "x.db", read_only=True).close()


def test_reading_where_nothing_is_says_so(tmp_path: Path) -> None:
    with pytest.raises(Damaged, match="no such file"):
        opened(tmp_path / "none.db", read_only=True)


async def test_a_closed_ledger_is_out_of_service(tmp_path: Path) -> None:
    store = opened(tmp_path / "x.db")
    await store.ledger.ping()
    await asyncio.to_thread(store.close)
    with pytest.raises(OutOfService):
        await store.ledger.hold([request("a")])
    with pytest.raises(OutOfService):
        await store.ledger.ping()


def failure(code: int) -> sqlite3.OperationalError:
    """What SQLite raises with a result code."""
    error = sqlite3.OperationalError("trouble")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("code", "committing", "meaning"),
    [
        (sqlite3.SQLITE_IOERR_FSYNC, True, OutcomeUnknown),
        (sqlite3.SQLITE_IOERR_WRITE, False, OutOfService),
        (sqlite3.SQLITE_FULL, True, DiskFull),
        (sqlite3.SQLITE_FULL, False, DiskFull),
        (sqlite3.SQLITE_BUSY, False, OutOfService),
        (sqlite3.SQLITE_CORRUPT_INDEX, True, Damaged),
        (sqlite3.SQLITE_NOTADB, False, Damaged),
    ],
)
def test_only_a_failed_commit_leaves_the_outcome_unknown(code: int, committing: bool, meaning: type) -> None:
    assert type(fault_of(failure(code), Path("x.db"), committing=committing)) is meaning


def test_an_empty_file_is_no_exchange_to_read(tmp_path: Path) -> None:
    (tmp_path / "x.db").touch()
    with pytest.raises(Damaged, match="it is empty"):
        opened(tmp_path / "x.db", read_only=True)


def test_a_newer_file_is_refused_in_plain_words(tmp_path: Path) -> None:
    opened(tmp_path / "x.db").close()
    with sqlite3.connect(tmp_path / "x.db") as db:
        db.execute("PRAGMA user_version = 9999")
    db.close()
    for read_only in (False, True):
        with pytest.raises(Damaged, match="written by a newer Outcry"):
            opened(tmp_path / "x.db", read_only=read_only)


def test_somebody_elses_database_is_not_touched(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "x.db") as db:
        db.execute("CREATE TABLE precious (thing TEXT)")
    db.close()
    with pytest.raises(Damaged, match="not one of an exchange"):
        opened(tmp_path / "x.db")
    with sqlite3.connect(tmp_path / "x.db") as db:
        assert db.execute("SELECT name FROM sqlite_schema").fetchall() == [("precious",)]
    db.close()


async def test_an_old_file_is_carried_forward(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with sqlite_storage(tmp_path) as storage:
        await fund(storage)
    known = schema.migrations()
    added = (known[-1][0] + 1, "ALTER TABLE accounts ADD COLUMN note TEXT;")
    monkeypatch.setattr(schema, "migrations", lambda: [*known, added])
    async with sqlite_storage(tmp_path) as storage:
        assert await storage.money(ALICE) == (MONEY, 0)
    with sqlite3.connect(tmp_path / "outcry.db") as db:
        assert db.execute("PRAGMA user_version").fetchone() == (added[0],)
        assert "note" in [row[1] for row in db.execute("PRAGMA table_info(accounts)")]
    db.close()


async def test_a_migration_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with sqlite_storage(tmp_path) as storage:
        await fund(storage)
    known = schema.migrations()
    broken = (known[-1][0] + 1, "CREATE TABLE half (a INTEGER); CREATE TABLE accounts (a INTEGER);")
    with monkeypatch.context() as patched:
        patched.setattr(schema, "migrations", lambda: [*known, broken])
        with pytest.raises(OutOfService):
            opened(tmp_path / "outcry.db")
    async with sqlite_storage(tmp_path) as storage:
        assert await storage.money(ALICE) == (MONEY, 0)
    with sqlite3.connect(tmp_path / "outcry.db") as db:
        assert db.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'half'").fetchone() == (0,)
    db.close()


def test_migrations_are_numbered_without_holes() -> None:
    assert [number for number, _ in schema.migrations()] == list(range(1, len(schema.migrations()) + 1))


def test_a_file_that_is_no_database_is_damaged_and_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"not a database at all" * 500)
    with pytest.raises(Damaged, match="put back a backup"):
        opened(tmp_path / "x.db")


async def test_a_torn_page_is_found_at_the_next_start(tmp_path: Path) -> None:
    async with sqlite_storage(tmp_path) as storage:
        await fund(storage)
        await storage.ledger.hold([request(f"n{n}", 1, group=n) for n in range(2000)])
    path = tmp_path / "outcry.db"
    torn = bytearray(path.read_bytes())
    middle = len(torn) // 2 // 4096 * 4096
    torn[middle : middle + 4096] = os.urandom(4096)
    path.write_bytes(torn)
    for read_only in (False, True):
        with pytest.raises(Damaged, match="damaged"):
            opened(path, read_only=read_only)


async def test_damage_under_way_is_reported_as_damage(tmp_path: Path) -> None:
    async with sqlite_storage(tmp_path) as storage:
        await fund(storage)
        await storage.own(0)
        rows = [order_row(n, f"n{n}" * 20) for n in range(1, 3000)]
        await storage.commit(storage.batch(new_orders=rows))
    path = tmp_path / "outcry.db"
    torn = bytearray(path.read_bytes())
    torn[40_960:] = os.urandom(len(torn) - 40_960)
    path.write_bytes(torn)
    beside = Store(path, clock=HandClock(), read_only=True)
    with pytest.raises(Damaged):
        await beside.ledger.orders_by_id(range(1, 3000))
    await asyncio.to_thread(beside.close)


async def fill(storage: Storage) -> list[int]:
    """Appends until the disk is full; the offsets that were acknowledged."""
    acknowledged: list[int] = []
    with pytest.raises(DiskFull, match=r"disk .* is full"):
        for _ in range(2_000):
            acknowledged += await storage.journal.append([(0, os.urandom(50_000))])
    return acknowledged


async def test_a_full_disk_refuses_and_keeps_what_was_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "PRAGMAS", (*schema.PRAGMAS, "PRAGMA max_page_count = 400"))
    async with sqlite_storage(tmp_path) as storage:
        await fund(storage)
        acknowledged = await fill(storage)
        assert await storage.money(ALICE, BTC) == (MONEY, 0)
        with pytest.raises(DiskFull):
            await storage.ledger.hold([request(f"n{n}" * 100, 1, group=n) for n in range(2000)])
        assert (await storage.journal.end_offsets())[0] == len(acknowledged)
        assert await storage.money(ALICE) == (MONEY, 0)
    monkeypatch.undo()
    async with sqlite_storage(tmp_path) as storage:
        assert await storage.journal.append([(0, b"room again")]) == [len(acknowledged)]
        assert (await storage.hold("a")).status == "held"


async def test_a_really_full_disk_refuses_and_recovers(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 1_000_000)
    async with sqlite_storage(small_disk) as storage:
        await fund(storage)
        acknowledged = await fill(storage)
        assert (await storage.journal.end_offsets())[0] == len(acknowledged)
        ballast.unlink()
        assert await storage.journal.append([(0, b"room again")]) == [len(acknowledged)]
        records = await storage.journal.read({0: 0}, 10_000, 0)
        assert [record.offset for record in records] == [*acknowledged, len(acknowledged)]


async def test_a_folder_that_cannot_be_written_is_out_of_service(tmp_path: Path) -> None:
    (tmp_path / "x.db").mkdir()
    with pytest.raises(OutOfService):
        opened(tmp_path / "x.db")


def test_a_place_that_cannot_hold_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutOfService, match="file cannot hold an exchange"):
        opened(tmp_path / "file" / "x.db")


async def test_many_writes_at_once_share_their_fsyncs(tmp_path: Path) -> None:
    async with sqlite_storage(tmp_path) as storage:
        await fund(storage)
        await storage.journal.append([(0, b"x")])
        started = time.monotonic()
        await asyncio.gather(*(storage.hold(f"n{n}", 1) for n in range(2000)))
        assert time.monotonic() - started < 20
        assert await storage.money(ALICE) == (MONEY - 2000, 2000)


async def test_more_writes_than_may_wait_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "MAX_WAITING", 10)
    async with sqlite_storage(tmp_path) as storage:
        await fund(storage)
        results = await asyncio.gather(*(storage.hold(f"n{n}", 1) for n in range(500)), return_exceptions=True)
        refused = [each for each in results if isinstance(each, OutOfService)]
        held = [each for each in results if not isinstance(each, BaseException)]
        assert refused and held and len(refused) + len(held) == 500
        assert await storage.money(ALICE) == (MONEY - len(held), len(held))
