"""A proof asks a journal again that does not answer for a while, and says what it could not ask."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from outcry.ports import OutOfService
from outcry.roles.engine import insistent as insistent_module
from outcry.roles.engine.insistent import Insistent, Unanswered
from outcry.roles.engine.verify import verify
from outcry.rows import Record
from tests.roles.engine.test_verify import silent
from tests.support.engine_room import BEN, EngineRoom, engine_room


class Restarting:
    """A journal that does not answer some questions of a partition, or about where it begins."""

    def __init__(self, room: EngineRoom, times: int, part: int = 0) -> None:
        self._journal: Any = room.store.journal
        self._times = times
        self._part = part
        self.asked = 0

    async def read(self, positions: Mapping[int, int], max_records: int, wait_seconds: float) -> list[Record]:
        if self._part in positions:
            self._fail()
        found: list[Record] = await self._journal.read(positions, max_records, wait_seconds)
        return found

    async def first_offsets(self) -> dict[int, int]:
        if self._part < 0:
            self._fail()
        found: dict[int, int] = await self._journal.first_offsets()
        return found

    def _fail(self) -> None:
        self.asked += 1
        if self.asked <= self._times:
            raise OutOfService("UnknownBrokerIdError: 1")


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little time between two attempts."""
    monkeypatch.setattr(insistent_module, "PAUSE_SECONDS", 0.01)


async def traded(room: EngineRoom) -> None:
    await room.place(room.order("buy 3@1000"), room.order("sell 3@1000", BEN), room.order("buy 1@900", part=1))
    await room.keeper.fold_now()


@pytest.mark.parametrize("part", [-1, 0, 1])
async def test_a_journal_that_answers_again_is_proven_as_ever(tmp_path: Path, part: int) -> None:
    said: list[str] = []
    async with engine_room(tmp_path, partitions=2) as room:
        await traded(room)
        journal = Restarting(room, 5, part)
        report = await verify(room.store.ledger, journal, said.append)
    assert (report.problems, report.gave_up) == ([], False) and journal.asked > 5
    assert "Asking again for up to 30 s: UnknownBrokerIdError: 1" in said
    assert sum("a replay of records" in each for each in report.checked) == 2


async def test_what_a_journal_goes_on_not_to_answer_is_said_and_the_rest_is_proven(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("outcry.roles.engine.verify.PATIENCE_SECONDS", 0.1)
    async with engine_room(tmp_path, partitions=2) as room:
        await traded(room)
        report = await verify(room.store.ledger, Restarting(room, 1 << 30, 1), silent)
    assert report.gave_up and report.problems == [] and "run it again" in report.verdict
    assert report.unchecked[0] == "partition 1: UnknownBrokerIdError: 1"
    assert any(each.startswith("idempotency") for each in report.unchecked)
    assert any(each.startswith("partition 0: a replay") for each in report.checked)
    assert any(each.startswith("money") for each in report.checked)


async def test_a_patience_that_is_over_is_not_waited_for_again_until_there_was_an_answer(tmp_path: Path) -> None:
    async with engine_room(tmp_path, partitions=2) as room:
        await traded(room)
        journal = Restarting(room, 1 << 30)
        asking = Insistent(journal, silent, 0.05)
        with pytest.raises(Unanswered, match="UnknownBrokerIdError"):
            await asking.read({0: 0}, 1, 0)
        before = journal.asked
        with pytest.raises(Unanswered):
            await asking.read({0: 0}, 1, 0)
        assert (before > 2, journal.asked) == (True, before + 1)
        assert await asking.read({1: 0}, 1, 0)
        with pytest.raises(Unanswered):
            await asking.read({0: 0}, 1, 0)
        assert journal.asked > before + 2
