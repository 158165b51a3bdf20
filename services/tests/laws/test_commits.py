"""Of engines that take a partition from one another, only the owner's next batch counts, whatever comes when."""

import os
from pathlib import Path
from random import Random

import pytest

from outcry.rows import PartBatch, PartitionRow
from tests.support.postgres import postgres_storage
from tests.support.storage import ALICE, BOB, MONEY, Storage, fund, posting, sqlite_storage

SEED = int(os.environ.get("OUTCRY_TEST_SEED", "1"))
ROOMS = {"postgres": postgres_storage, "sqlite": sqlite_storage}
ENGINES = 3
STEPS = 50


class Rivals:
    """Engines of one partition, each with its own view of it; ``standing`` is the truth that the law gives."""

    def __init__(self, storage: Storage, seed: int) -> None:
        self.storage = storage
        self.dice = Random(seed)
        self.standing = (-1, 0)  # epoch, next_offset
        self.views: dict[int, PartitionRow] = {}
        self.last: dict[int, PartBatch] = {}
        self.earned = 0
        self.refused = 0

    async def step(self) -> None:
        engine = self.dice.randrange(ENGINES)
        pick = self.dice.random()
        if engine not in self.views or pick < 0.2:
            self.views[engine] = await self.storage.own(0)
            self.standing = (self.views[engine].epoch, self.views[engine].next_offset)
        elif pick < 0.4 and engine in self.last:
            await self.commit(self.last[engine])
        else:
            await self.commit_next(engine)

    async def commit_next(self, engine: int) -> None:
        """Sometimes the engine never hears how it ended, and goes on as if it had, or as if it had not."""
        view = self.storage.partitions[0] = self.views[engine]
        amount = self.dice.randint(1, 9)
        at = view.next_offset
        legs = [posting(ALICE, amount, 0, offset=at), posting(BOB, -amount, 0, offset=at, idx=1)]
        batch = self.last[engine] = self.storage.batch(records=self.dice.randint(1, 3), postings=legs)
        landed = await self.commit(batch)
        if landed != (self.dice.random() < 0.1):
            self.views[engine] = view._replace(next_offset=batch.advance.to_offset)

    async def commit(self, batch: PartBatch) -> bool:
        advance = batch.advance
        lands = (advance.epoch, advance.from_offset) == self.standing
        assert await self.storage.ledger.commit([batch]) == ({0} if lands else set())
        if lands:
            self.standing = (advance.epoch, advance.to_offset)
            self.earned += batch.postings[0].free_delta
        self.refused += not lands
        return lands


@pytest.mark.parametrize("kind", sorted(ROOMS))
async def test_only_the_owners_next_batch_counts(kind: str, tmp_path: Path) -> None:
    async with ROOMS[kind](tmp_path) as storage:
        await fund(storage)
        rivals = Rivals(storage, SEED)
        for _ in range(STEPS):
            await rivals.step()
        (row,) = await storage.ledger.partitions()
        assert (row.epoch, row.next_offset) == rivals.standing
        assert (await storage.money(ALICE))[0] == MONEY + rivals.earned
        assert rivals.earned > 0 and rivals.refused > STEPS // 10
