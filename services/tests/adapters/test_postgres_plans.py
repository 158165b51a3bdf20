"""How the ledger's statements on PostgreSQL are carried out: by key, and reading no more than they need."""

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest

from outcry.adapters.postgres import swift
from outcry.adapters.postgres.changes import CHANGE
from outcry.adapters.postgres.holds import HOLD
from outcry.adapters.postgres.housekeeping import FOLD, VOID
from outcry.adapters.postgres.load import APPLIED, BY_RANGES, ORDERS
from outcry.adapters.postgres.marks import MARK_APPLIED
from outcry.adapters.postgres.sessions import LOADER_SETTINGS, READER_SETTINGS, SHARED_SETTINGS
from outcry.adapters.postgres.statements import query
from tests.support.postgres import postgres_storage
from tests.support.storage import BOB, Storage, fund, posting


def _options(settings: Mapping[str, str]) -> str:
    return " ".join(f"-c {name}={value}" for name, value in settings.items() if " " not in value)


SETTINGS = _options(SHARED_SETTINGS)


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[Storage]:
    async with postgres_storage(tmp_path) as opened:
        await fund(opened)
        yield opened


def url_of(kept: Storage) -> str:
    """The database as its owner, who may make statistics."""
    return str(kept.ledger._owner._database.url)  # type: ignore[attr-defined]


@pytest.mark.parametrize("analysed", [False, True])
async def test_a_fold_reads_the_postings_that_it_sums_and_none_before(kept: Storage, analysed: bool) -> None:
    await kept.own(0)
    for offset in range(40):
        await kept.commit(kept.batch(postings=[posting(BOB, 1, 0, offset=offset, asset=9, idx=n) for n in range(50)]))
    assert await kept.ledger.fold([0]) == 2000
    with psycopg.connect(url_of(kept), options=SETTINGS) as connection:
        if analysed:
            connection.execute(b"ANALYZE")
        connection.execute(f"PREPARE job AS {FOLD}".encode())
        connection.execute(b"EXPLAIN EXECUTE job ('orders', '{0,1}', 5000)")
        await kept.commit(kept.batch(postings=[posting(BOB, 1, 0, offset=40, asset=9, idx=n) for n in range(7)]))
        ((plan,),) = connection.execute(
            b"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE job ('orders', '{0,1}', 5000)"
        ).fetchall()
        assert _rows_of("postings", plan[0]["Plan"]) == 2 * 7
        connection.rollback()
    assert await kept.ledger.fold([0]) == 7


async def test_postings_are_read_once_for_all_who_ask_for_balances(kept: Storage) -> None:
    await kept.own(0)
    legs = [posting(account, 1, 0, offset=0, idx=account) for account in range(40)]
    await kept.commit(kept.batch(postings=legs))
    asked = query("balances_of_accounts").replace(":ids", "$1").replace(":topic", "$2")
    with psycopg.connect(url_of(kept), options=_options(READER_SETTINGS)) as connection:
        connection.execute(f"PREPARE job AS {asked}".encode())
        ((plan,),) = connection.execute(
            b"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE job ('{1,2,3,4,5,6,7}', 'orders')"
        ).fetchall()
    assert _rows_of("postings", plan[0]["Plan"], with_removed=True) == 40


@pytest.mark.parametrize("analysed", [False, True])
async def test_statements_that_were_planned_on_empty_tables_go_by_key(kept: Storage, analysed: bool) -> None:
    """A plan is kept until statistics are made again: what is chosen while all is empty must be right at any size."""
    with psycopg.connect(url_of(kept), autocommit=True, options=SETTINGS) as connection:
        if analysed:
            connection.execute(b"ANALYZE")
        for text, count, table, index in (
            (HOLD, 12, "intake", "intake_open"), (MARK_APPLIED, 5, "intake", "intake_pkey"),
            (CHANGE, 23, "orders", "orders_pkey"), (swift.COMMIT, 12, "(orders|intake)", "(orders|intake)_pkey"),
            (FOLD, 3, "postings_20231114", "_part_log_offset"), (VOID, 3, "intake", "intake_(unapplied|pkey)"),
        ):  # fmt: skip
            connection.execute(b"DEALLOCATE ALL")
            connection.execute(f"PREPARE job AS {text}".encode())
            plan = connection.execute(f"EXPLAIN EXECUTE job ({', '.join(['NULL'] * count)})".encode()).fetchall()
            scans = [line for (line,) in plan if re.search(rf"Scan.* on {table}\b", line)]
            assert scans
            assert all(re.search(rf"using {index}|using \w*{index}", line) for line in scans), scans


async def test_a_load_goes_along_the_open_orders_and_finds_its_window_by_ranges(kept: Storage) -> None:
    with psycopg.connect(url_of(kept), options=_options(LOADER_SETTINGS)) as connection:
        for setting, text, count, way in (
            ("", ORDERS, 1, r"Index Scan using orders_open"), (BY_RANGES, APPLIED, 2, r"Bitmap Index Scan on intake_"),
        ):  # fmt: skip
            connection.execute(setting.encode())
            connection.execute(b"DEALLOCATE ALL")
            connection.execute(f"PREPARE job AS {text}".encode())
            plan = connection.execute(f"EXPLAIN EXECUTE job ({', '.join(['NULL'] * count)})".encode()).fetchall()
            assert re.search(way, str(plan)), plan


def _rows_of(table: str, plan: dict[str, Any], *, with_removed: bool = False) -> int:
    """How many rows of a table's partitions were read by all turns of their scans."""
    scans = [node for node in _nodes(plan) if node.get("Relation Name", "").startswith(table)]
    removed = "Rows Removed by Filter" if with_removed else ""
    return sum((node["Actual Rows"] + node.get(removed, 0)) * node["Actual Loops"] for node in scans)


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A plan's nodes, depth first."""
    yield plan
    for part in plan.get("Plans", ()):
        yield from _nodes(part)
