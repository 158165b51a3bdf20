"""The front door gives every request an answer of the shape its path promises."""

import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outcry.roles.api.timeunit import in_micros
from outcry.roles.api.wire import MAX_BODY_BYTES, MAX_HEADER_BYTES, MAX_URL_BYTES
from tests.support.gated import Gated, gated


@pytest.fixture
async def front(tmp_path: Path) -> AsyncIterator[Gated]:
    async with gated(tmp_path) as running:
        yield running


def is_problem(answer: Any, code: int) -> bool:
    body = answer.json()
    return (
        answer.headers["content-type"] == "application/problem+json"
        and {"type", "title", "status", "detail", "instance", "code"} <= body.keys()
        and (body["status"], body["code"]) == (answer.status_code, code)
    )


async def test_unknown_paths_and_wrong_methods_have_the_shape_of_their_path(front: Gated) -> None:
    for path, method, status in (
        ("/api/v3/x", "GET", 404),
        ("/api/v3/order", "PATCH", 405),
        ("/sapi/v1/x", "GET", 404),
    ):
        answer = await front.ask(method, path)
        assert (answer.status_code, set(answer.json())) == (status, {"code", "msg"})
    for path, method, status in (("/v1/x", "GET", 404), ("/v1/trades", "PUT", 405), ("/livez", "POST", 405)):
        answer = await front.ask(method, path)
        assert answer.status_code == status
        assert is_problem(answer, -1020)


async def test_a_wrong_method_hears_the_right_ones(front: Gated) -> None:
    assert (await front.ask("PUT", "/api/v3/order")).headers["allow"] == "DELETE, POST"
    options = await front.ask("OPTIONS", "/api/v3/ping")
    assert (options.status_code, options.headers["allow"]) == (204, "GET, HEAD, OPTIONS")


async def test_a_body_over_64_kib_is_413(front: Gated) -> None:
    answer = await front.ask("POST", "/api/v3/order", content=b"a" * (MAX_BODY_BYTES + 1))
    assert (answer.status_code, set(answer.json())) == (413, {"code", "msg"})
    native = await front.ask("POST", "/v1/orders:batch", content=b"a" * (MAX_BODY_BYTES + 1))
    assert native.status_code == 413
    assert is_problem(native, -1013)


async def test_a_body_that_grows_beyond_the_bound_is_413(front: Gated) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"a" * 8192

    answer = await front.ask("POST", "/api/v3/order", content=pieces())
    assert answer.status_code == 413


async def test_a_long_url_is_414_and_large_headers_are_431(front: Gated) -> None:
    assert (await front.ask("GET", "/api/v3/ping", "a=" + "b" * MAX_URL_BYTES)).status_code == 414
    assert (await front.ask("GET", "/v1/trades", headers={"X-A": "b" * MAX_HEADER_BYTES})).status_code == 431
    assert (await front.ask("GET", "/nothing", "a=" + "b" * MAX_URL_BYTES)).status_code == 414


async def test_sbe_is_not_acceptable(front: Gated) -> None:
    assert (await front.ask("GET", "/api/v3/ping", headers={"Accept": "application/sbe"})).status_code == 406
    both = {"Accept": "application/sbe;q=1, application/json"}
    assert (await front.ask("GET", "/api/v3/ping", headers=both)).status_code == 200


async def test_trouble_outside_is_503_or_504_and_never_a_client_error(front: Gated) -> None:
    busy = await front.ask("GET", "/api/v3/fall", "kind=ledger")
    assert (busy.status_code, busy.json()["code"], busy.headers["retry-after"]) == (503, -1008, "1")
    lost = await front.ask("GET", "/api/v3/fall", "kind=unknown")
    assert (lost.status_code, lost.json()["code"]) == (504, -1007)


async def test_a_bug_is_logged_with_its_cause_and_tells_nothing(front: Gated, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        answer = await front.ask("GET", "/api/v3/fall", "kind=bug")
    assert (answer.status_code, answer.json()["code"]) == (500, -1000)
    assert "as the test wished" in caplog.text
    assert "as the test wished" not in answer.text


async def test_a_refusal_may_carry_data_beside_its_code(front: Gated) -> None:
    answer = await front.ask("POST", "/api/v3/order/cancelReplace")
    assert (answer.status_code, answer.json()) == (409, {
        "code": -2021, "msg": "Order cancel-replace partially failed.", "data": {"cancelResult": "SUCCESS"},
    })  # fmt: skip


async def test_headers_of_an_answer_cannot_be_smuggled(front: Gated) -> None:
    answer = await front.ask("POST", "/api/v3/keyed", front.signed())
    assert answer.headers["idempotent-replayed"] == "true??X-Evil: 1"
    assert "x-evil" not in answer.headers


async def test_head_is_answered_like_get(front: Gated) -> None:
    assert (await front.ask("HEAD", "/api/v3/ping")).status_code == 200
    assert (await front.ask("HEAD", "/livez")).status_code == 200


async def test_times_come_in_microseconds_for_those_who_ask(front: Gated) -> None:
    micro = await front.ask("POST", "/api/v3/keyed", front.signed(), headers={"X-MBX-TIME-UNIT": "MICROSECOND"})
    milli = await front.ask("POST", "/api/v3/keyed", front.signed(), headers={"X-MBX-TIME-UNIT": "millisecond"})
    wrong = await front.ask("POST", "/api/v3/keyed", front.signed(), headers={"X-MBX-TIME-UNIT": "NANO"})
    assert (micro.json()["time"], milli.json()["time"]) == (1_700_000_000_000_000, 1_700_000_000_000)
    assert (wrong.status_code, wrong.json()["code"]) == (400, -1194)


def test_nested_times_and_candles_are_scaled_too() -> None:
    assert in_micros("/api/v3/x", [{"T": 1, "a": [{"time": 2}], "p": "3"}]) == [
        {"T": 1000, "a": [{"time": 2000}], "p": "3"}
    ]
    assert in_micros("/api/v3/klines", [[1, "2", "3", "4", "5", "6", 7, "8", 9]])[0][0::6] == [1000, 7999]


async def test_a_socket_to_nowhere_is_closed_with_a_reason(front: Gated) -> None:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await front.app({"type": "websocket", "path": "/wss", "headers": []}, receive, send)
    assert [m["type"] for m in sent] == ["websocket.accept", "websocket.close"]
    assert sent[1]["code"] == 1008


async def test_a_client_that_leaves_mid_body_gets_no_answer(front: Gated) -> None:
    sent: list[Any] = []
    scope = {
        "type": "http", "method": "POST", "path": "/api/v3/order", "query_string": b"", "client": None,
        "headers": [(b"content-length", b"10")],
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await front.app(scope, receive, send)
    assert sent == []


METHODS = st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "BREW"])
PATHS = st.sampled_from(["/api/v3/order", "/api/v3/depth", "/v1/trades", "/v1/orders:batch", "/", "/x"]) | st.text()
HEADERS = st.lists(
    st.tuples(
        st.sampled_from([
            b"x-mbx-apikey", b"content-length", b"transfer-encoding", b"content-type", b"accept", b"idempotency-key",
            b"x-mbx-time-unit", b"traceparent",
        ]),
        st.binary(max_size=40) | st.just(b"test-key-1"),
    ),
    max_size=6,
)  # fmt: skip


@given(METHODS, PATHS, st.binary(max_size=200), st.binary(max_size=200), HEADERS)
@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
async def test_whatever_is_sent_is_answered_in_shape_and_never_500(
    front: Gated, method: str, path: str, query: bytes, body: bytes, headers: list[tuple[bytes, bytes]]
) -> None:
    sent: list[Any] = []
    scope = {
        "type": "http", "method": method, "path": path, "query_string": query, "headers": headers,
        "client": ("127.0.0.1", 1), "root_path": "", "scheme": "http", "server": ("x", 80), "http_version": "1.1",
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await front.app(scope, receive, send)
    assert sent[0]["status"] < 500
    if sent[0]["status"] >= 400:
        assert json.loads(sent[1]["body"])["code"] < 0
