"""Halting, resuming, and passing over what stops a partition, on an engine that runs meanwhile."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from outcry import cli
from outcry.roles.admin.partitions import PartitionVerbs
from outcry.roles.admin.rules import Refused
from tests.support.engine_room import EngineRoom, engine_room
from tests.support.inprocess import running


async def act(room: EngineRoom, verb: str, actor: str = "ann", **params: Any) -> dict[str, Any]:
    verbs = PartitionVerbs(room.store.ledger, room.store.journal).verbs
    return await verbs[f"partitions.{verb}"]({"actor": actor, **params})


async def test_a_partition_matches_nothing_between_halt_and_resume(tmp_path: Path) -> None:
    async with engine_room(tmp_path, partitions=2) as room:
        halted = await act(room, "halt", partition=0, reason="looks odd")
        assert halted["reason"] == "looks odd (ann)"
        (held,) = await room.hold(room.order("buy 5@900"))
        await room.journal([held])
        (other,) = await room.place(room.order("buy 5@900", part=1))
        assert other.code == 0
        await room.until(lambda: room.engine.halted == {0: "looks odd (ann)"})
        assert held.command_id not in room.outcomes
        with pytest.raises(Refused, match=r"halted already: looks odd \(ann\)"):
            await act(room, "halt", partition=0, reason="again")
        rows = (await act(room, "list"))["rows"]
        assert [(row["partition"], row["status"], row["reason"]) for row in rows] == [
            (0, "HALT", "looks odd (ann)"), (1, "RUN", ""),
        ]  # fmt: skip
        await act(room, "resume", partition=0)
        assert (await room.outcome(held.command_id)).code == 0
        with pytest.raises(Refused, match="Partition 0 is not halted"):
            await act(room, "resume", partition=0)


async def test_two_people_have_a_command_passed_over_and_the_partition_goes_on(tmp_path: Path) -> None:
    async with engine_room(tmp_path) as room:
        stranger = room.order("buy 5@901", order_id=99_999, valid_until_ms=1 << 50)
        await room.journal([stranger])
        await room.until(lambda: 0 in room.engine.halted)
        (shown,) = (await act(room, "commands", partition=0))["rows"]
        assert (shown["index"], "order_id=99999" in shown["command"]) == (0, True)
        place = {"partition": 0, "offset": shown["offset"], "index": 0, "reason": "never held"}
        assert (await act(room, "skip", **place))["state"] == "needs 1 more approval"
        assert (await act(room, "skip", **place))["state"] == "needs 1 more approval"
        done = await act(room, "skip", "ben", **place)
        assert (done["approved_by"], done["state"]) == ("ann, ben", "passed over when partition 0 resumes")
        assert 0 in room.engine.halted, "only a resume lets it go on"
        await act(room, "resume", partition=0)
        refused = await room.outcome(stranger.command_id)
        assert (refused.code, refused.text) == (-2010, "The operator skipped this command.")
        (after,) = await room.place(room.order("buy 5@902"))
        assert after.code == 0
        with pytest.raises(Refused, match="Partition 0 is RUN"):
            await act(room, "skip", **place)


async def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    async with engine_room(tmp_path) as room:
        for verb, params, said in (
            ("halt", {"partition": 7, "reason": "x"}, "no partition 7"),
            ("halt", {"partition": 0, "reason": " "}, "--reason must have"),
            ("halt", {"partition": 0, "reason": "a\nb"}, "--reason must have"),
            ("commands", {"partition": 0, "offset": 99_999}, "has records 0 to"),
            ("skip", {"partition": 0, "offset": 0, "index": 1, "reason": "x"}, "INDEX is 1"),
            ("skip", {"partition": 0, "offset": 0, "index": 0, "reason": "x"}, "Partition 0 is RUN"),
        ):
            with pytest.raises(Refused, match=said):
                await act(room, verb, **params)


def outcry(folder: Path, capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    status = cli.main([*words, "--data", str(folder), "--json"])
    told = capsys.readouterr()
    return json.loads(told.out) if status == 0 else told.err


def test_the_verbs_work_from_the_command_line_on_an_exchange_at_rest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(founded(tmp_path))
    halted = outcry(tmp_path, capsys, "halt", "0", "--reason", "maintenance", "--as", "ann")
    assert halted["status"] == "HALT" and "(ann as " in halted["reason"]
    (first,) = outcry(tmp_path, capsys, "skip", "0", "0")["rows"]
    assert "SetInstrument" in first["command"]
    assert outcry(tmp_path, capsys, "partitions", "list")["rows"][0]["status"] == "HALT"
    assert "an approval names" in outcry(tmp_path, capsys, "skip", "0", "--approve")
    assert "an approval names --reason" in outcry(tmp_path, capsys, "skip", "0", "--lost", "--approve")
    assert outcry(tmp_path, capsys, "resume", "0", "--as", "ben") == {"partition": 0, "status": "RUN"}
    assert "not halted" in outcry(tmp_path, capsys, "resume", "0")
    acts = outcry(tmp_path, capsys, "audit", "list", "--limit", "2")["rows"]
    assert [(row["actor"].split()[0], row["action"]) for row in acts] == [
        ("ben", "resume partition"), ("ann", "halt partition"),
    ]  # fmt: skip


async def founded(folder: Path) -> None:
    async with running(folder):
        pass
