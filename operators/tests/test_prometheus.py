"""Prometheus answers one number, or the trigger says why not."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import urllib3

from outcry_operator.prometheus import ask
from tests.world.pools import NOW_MS
from tests.world.quickserver import JsonCall, QuickServer


class Answers(JsonCall):
    def do_GET(self) -> None:
        self.server.keeper.asked = self.path
        self.told(*self.server.keeper.answer)


class Prometheus:
    answer: tuple[int, Any] = (200, {})
    asked = ""


@pytest.fixture
def prometheus() -> Iterator[tuple[Prometheus, str]]:
    keeper = Prometheus()
    server = QuickServer("127.0.0.1", Answers, keeper)
    yield keeper, f"http://127.0.0.1:{server.server_port}/prom/"
    server.stop()


def success(kind: str, result: Any) -> tuple[int, Any]:
    return 200, {"status": "success", "data": {"resultType": kind, "result": result}}


def vector(*values: str) -> tuple[int, Any]:
    return success("vector", [{"metric": {}, "value": [1_800_000_000.5, value]} for value in values])


def test_one_series_or_a_scalar_is_a_total(prometheus: tuple[Prometheus, str]) -> None:
    keeper, address = prometheus
    keeper.answer = vector("41.5")
    found = ask(urllib3.PoolManager(), address, "sum(x{a='b'})", NOW_MS)
    assert (found.value, found.at_ms) == (41.5, 1_800_000_000_500)
    assert keeper.asked == "/prom/api/v1/query?query=sum%28x%7Ba%3D%27b%27%7D%29"
    keeper.answer = success("scalar", [1_800_000_000, "7"])
    assert ask(urllib3.PoolManager(), address, "q", NOW_MS).value == 7


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (vector(), "0 series"),
        (vector("1", "2"), "2 series"),
        (vector("NaN"), "NaN"),
        (vector("+Inf"), "+Inf"),
        (success("matrix", []), "matrix"),
        ((400, {"status": "error", "error": "parse error"}), "parse error"),
        ((200, "<html>"), "does not answer"),
    ],
)
def test_anything_else_is_no_answer_and_says_why(prometheus: tuple[Prometheus, str], answer: Any, why: str) -> None:
    keeper, address = prometheus
    keeper.answer = answer
    found = ask(urllib3.PoolManager(), address, "q", NOW_MS)
    assert found.value is None and why in found.why, json.dumps(found.why)


def test_a_prometheus_that_is_away_is_no_answer() -> None:
    found = ask(urllib3.PoolManager(), "http://127.0.0.1:9", "q", NOW_MS)
    assert found.value is None and "does not answer" in found.why
