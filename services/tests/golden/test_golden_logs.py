"""Logs of earlier releases replay for ever, to the same events, orders and money."""

import json
from pathlib import Path

import pytest

from outcry.codec import decode_frame
from tests.golden.write import HERE, read_log, result_of

LOGS = sorted(HERE.glob("*.log"))
KINDS = [
    "SetInstrument", "PlaceOrder", "PlaceList", "CancelOrder", "CancelAll", "ReplaceOrder", "AmendOrder",
    "HaltMarket", "OpenMarket", "Tick", "SetVersion",
]  # fmt: skip


def test_there_is_a_log_of_every_release() -> None:
    assert [log.stem for log in LOGS][:1] == ["log-1"]


@pytest.mark.parametrize("log", LOGS, ids=lambda log: log.stem)
def test_a_golden_log_replays_to_the_same_result(log: Path) -> None:
    assert result_of(read_log(log)) == json.loads(log.with_suffix(".json").read_text())


def test_the_first_release_wrote_this_frame() -> None:
    frame = decode_frame(bytes.fromhex((HERE / "frame-1.hex").read_text()))
    assert (frame.reply_to, frame.traceparent) == ("pod-7", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
    assert (frame.correlation_id, frame.map_version) == (1 << 40, 2)
    kinds = [type(command).__name__ for command in frame.commands]
    assert kinds == KINDS
