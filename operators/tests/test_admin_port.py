"""The examples of the engines' admin port: the tests' engines answer as they say, and the operator reads them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from outcry_operator.adminport import AdminPorts, NoAnswer, read_status
from outcry_operator.observation import Pod
from tests.world.engines import Engine, EngineRoom, Row
from tests.world.pools import NOW_MS, pod

EXAMPLES = Path(__file__).resolve().parents[2] / "services/tests/roles/engine/admin_port"
DRAINS = {"drain", "undrain"}


def same_shape(example: Any, real: Any) -> bool:
    """Whether an answer has the fields and types of the example; null stands for any type."""
    if isinstance(example, dict):
        return isinstance(real, dict) and [*example] == [*real] and all(same_shape(example[k], real[k]) for k in real)
    if isinstance(example, list):
        return isinstance(real, list) and all(same_shape(example[0], each) for each in real)
    return example is None or real is None or type(example) is type(real)


@pytest.fixture
def room() -> Iterator[EngineRoom]:
    made = EngineRoom(2, NOW_MS)
    made.engines["127.0.1.1"] = Engine("engine-0", hashes={0: [{"from_offset": 300, "digest": "9f"}]})
    made.engines["127.0.1.2"] = Engine("engine-1", claim="reserved")
    made.rows = {part: Row("engine-0/1", 1, NOW_MS + 6_000) for part in range(2)}
    yield made
    made.stop()


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.json")), ids=lambda path: path.stem)
def test_the_engines_of_the_tests_answer_as_the_examples_say(path: Path, room: EngineRoom) -> None:
    example = json.loads(path.read_text())
    request = example["request"]
    status, body = room.answer("127.0.1.1", request["method"], request["path"], request.get("body"))
    assert status == example["status"]
    assert same_shape(example["body"], body), body


def test_the_operator_reads_the_example_of_a_status() -> None:
    example = json.loads((EXAMPLES / "status.json").read_text())["body"]
    told = read_status(json.dumps({**example, "news": 1}).encode(), "engine-0", NOW_MS)
    assert [row.part for row in told.owned] == [row["partition"] for row in example["owned"]]
    assert [(row.part, row.owner, row.halted) for row in told.leases] == [
        (row["partition"], row["owner"], False) for row in example["leases"]
    ]
    assert told.queue_depth == example["queue_depth"] and told.leases_at_ms == NOW_MS - example["leases_age_ms"]
    with pytest.raises(NoAnswer):
        read_status(b"<html>", "engine-0", NOW_MS)


def test_a_pod_that_cannot_be_reached_or_refuses_is_no_answer(room: EngineRoom, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("secret\n")
    ports = AdminPorts(str(token), lambda: NOW_MS)
    one = pod("engine-0", ip="127.0.1.1", admin_port=room.port)
    away = pod("engine-7", ip="127.0.1.7", admin_port=room.port)
    assert set(ports.statuses([one, away, Pod("engine-8")])) == {"engine-0"}
    ports.drain(one)
    assert room.engines["127.0.1.1"].draining_since_ms == NOW_MS
    with pytest.raises(NoAnswer, match="409"):
        ports.release(pod("engine-1", ip="127.0.1.2", admin_port=room.port), 0, "engine-0b")
    token.write_text("wrong")
    with pytest.raises(NoAnswer, match="401"):
        ports.stay(one)
    token.unlink()
    with pytest.raises(NoAnswer, match="token"):
        ports.stay(one)
