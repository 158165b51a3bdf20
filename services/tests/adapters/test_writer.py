"""Jobs share a transaction for a while; what is behind them comes in its turn, in the next one."""

import asyncio
import threading
from pathlib import Path

import pytest

from outcry.adapters.sqlite import writer as writer_module
from outcry.adapters.sqlite.writer import Work, Writer
from tests.support.storage import HandClock


@pytest.mark.parametrize(
    ("turn_seconds", "order"), [(60.0, ["one", "bad", "one", "bad", "two"]), (-1.0, ["one", "bad", "two"])]
)
async def test_a_failure_undoes_no_more_than_its_own_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, turn_seconds: float, order: list[str]
) -> None:
    monkeypatch.setattr(writer_module, "TURN_SECONDS", turn_seconds)
    done: list[str] = []
    gate = threading.Event()

    async def ask(name: str) -> str:
        def job(_: Work) -> str:
            done.append(name)
            if name == "bad":
                raise LookupError(name)
            return name

        return await writer.do(job)

    writer = Writer(tmp_path / "outcry.db", HandClock())
    writer.open()
    first = asyncio.create_task(writer.do(lambda _: gate.wait(10)))
    others = [asyncio.create_task(ask(name)) for name in ("one", "bad", "two")]
    await asyncio.sleep(0.1)
    gate.set()
    results = await asyncio.gather(first, *others, return_exceptions=True)
    writer.close()
    assert [str(result) for result in results] == ["True", "one", "bad", "two"]
    assert done == order
