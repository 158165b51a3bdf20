"""An engine room whose ledger and leases are a PostgreSQL database; each process has connections of its own."""

import contextlib
from types import SimpleNamespace
from typing import Any

import psycopg

from outcry.adapters.postgres import PgStore
from outcry.roles.engine.keeper import Keeper
from outcry.settings import Settings
from tests.support.engine_room import EngineRoom
from tests.support.postgres import migrated_database

LEASE_MS = 1_000
REAL_TIME = """
CREATE OR REPLACE FUNCTION outcry_now_ms() RETURNS bigint LANGUAGE sql VOLATILE AS
  'SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint';
SELECT outcry_make_days(outcry_now_ms() - 86400000, 4);
"""


class PgRoom(EngineRoom):
    """The journal is a file beside the database, whose time is the real one."""

    async def open(self) -> None:
        await super().open()
        self._file = self.store
        self._exit = contextlib.ExitStack()
        self.url = self._exit.enter_context(migrated_database())
        with psycopg.connect(self.url, autocommit=True) as database:
            database.execute(REAL_TIME.encode())
        self._stores: list[PgStore] = []
        own = await self.process()
        self.store = SimpleNamespace(journal=self._file.journal, ledger=own.ledger, lease=own.lease)  # type: ignore[assignment]
        self.keeper = Keeper(
            ledger=own.ledger, journal=self._file.journal, clock=self.clock, partitions=self.partitions,
            settings=Settings(),
        )  # fmt: skip
        self.engine = self.new_engine(lease_ms=LEASE_MS)

    async def process(self) -> Any:
        store = PgStore(self.url, lease_ms=LEASE_MS)
        self._stores.append(store)
        await store.open()
        return store

    async def close(self) -> None:
        for store in self._stores:
            await store.close()
        self._exit.close()
        self.store = self._file
        await super().close()
