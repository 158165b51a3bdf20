"""Ten thousand malformed, odd and valid requests: each gets an answer of its documented shape, and none is a 5xx."""

import contextlib
import hashlib
import hmac
import http.client
import json
import os
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outcry.roles.api.endpoint import Endpoint
from outcry.wiring.endpoints import ENDPOINTS
from tests.support.venue import Exchange, running_exchange

LONG = bool(os.environ.get("OUTCRY_TEST_LONG"))
KEY, SECRET = "outcry-demo-key-1", b"outcry-demo-secret-1"
BURST = 40  # requests per hypothesis example
EXAMPLES = 2500 if LONG else 250

NASTY = [
    "",
    "NaN",
    "1e3",
    "-1",
    "+1",
    "0",
    "0.0",
    "1.",
    ".5",
    "9" * 30,
    "1.123456789",
    "٣",
    "１",
    "null",
    "true",
    "[]",
    "{}",
    "BTCUSD",
    "btcusd",
    "NOPE",
    '["BTCUSD"]',
    '["BTCUSD","BTCUSD"]',
    "BUY",
    "LIMIT",
    "GTC",
    "a" * 37,
    "a b",
    "é",
    "\x00",
    "%",
    "' OR 1=1",
    "18446744073709551616",
    "-9223372036854775809",
    "0x10",
    "1_000",
    " 1",
    "1 ",
    "\n",
    "1,5",
    "Infinity",
]
GOOD = {
    "symbol": ["BTCUSD", "ETHUSD"],
    "side": ["BUY", "SELL"],
    "type": ["LIMIT", "MARKET", "STOP_LOSS_LIMIT", "LIMIT_MAKER"],
    "timeInForce": ["GTC", "IOC", "FOK"],
    "quantity": ["0.001", "0.01", "1"],
    "price": ["20000", "1000.00", "90000"],
    "stopPrice": ["15000", "30000"],
    "interval": ["1m", "1h", "1s", "1M"],
    "limit": ["1", "5", "1000"],
    "orderId": ["1", "2"],
    "cancelReplaceMode": ["STOP_ON_FAILURE", "ALLOW_FAILURE"],
    "cancelOrderId": ["1"],
    "newOrderRespType": ["FULL", "ACK"],
}

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    with running_exchange(tmp_path_factory.mktemp("fuzz")) as venue:
        yield venue


class Line:
    """One kept-alive connection that is opened again where the exchange closed it."""

    def __init__(self, url: str) -> None:
        self._port = urlsplit(url).port
        self._line: http.client.HTTPConnection | None = None
        self.sent = 0

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        for _ in range(2):
            if self._line is None:
                self._line = http.client.HTTPConnection("127.0.0.1", self._port, timeout=15)
            with contextlib.suppress(http.client.RemoteDisconnected, ConnectionError):
                self._line.request(method, path, body, {"X-MBX-APIKEY": KEY, **headers})
                answer = self._line.getresponse()
                self.sent += 1
                return answer.status, answer.read()
            self._line = None
        raise AssertionError(f"{method} {path}: the connection was dropped without an answer")


def signed(query: str, body: bytes = b"") -> str:
    joined = f"{query}&timestamp={int(time.time() * 1000)}" if query else f"timestamp={int(time.time() * 1000)}"
    return f"{joined}&signature={hmac.new(SECRET, joined.encode() + body, hashlib.sha256).hexdigest()}"


def values_of(name: str) -> st.SearchStrategy[str]:
    good = st.sampled_from(GOOD.get(name, ["1"]))
    return st.one_of(good, good, good, st.sampled_from(NASTY), st.text(max_size=12))


@st.composite
def requests(draw: st.DrawFn) -> tuple[Endpoint, dict[str, str]]:
    endpoint = draw(st.sampled_from(ENDPOINTS))
    names = [param.name for param in endpoint.params if param.required or draw(st.booleans())]
    chosen = {name: draw(values_of(name)) for name in names if draw(st.integers(0, 19))}
    if not draw(st.integers(0, 9)):
        chosen[draw(st.sampled_from(["unknown", "recvWindow", "symbol", "é"]))] = draw(st.sampled_from(NASTY))
    return endpoint, chosen


def check_shape(path: str, status: int, body: bytes) -> None:
    assert status < 500, (path, status, body[:500])
    if status >= 400:
        answer = json.loads(body)
        assert isinstance(answer["code"], int), (path, status, body[:500])
        assert ("detail" in answer) if path.startswith("/v1") else ("msg" in answer), (path, status, body[:500])


def test_signed_requests_of_every_endpoint_never_end_in_a_5xx(exchange: Exchange) -> None:
    line = Line(exchange.url)

    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
    @given(st.lists(requests(), min_size=BURST, max_size=BURST))
    def burst(batch: list[tuple[Endpoint, dict[str, str]]]) -> None:
        for endpoint, params in batch:
            query = "&".join(f"{quote(name)}={quote(value)}" for name, value in params.items())
            status, body = line.ask(endpoint.method, f"{endpoint.path}?{signed(query)}")
            check_shape(endpoint.path, status, body)

    burst()
    assert line.sent >= EXAMPLES * BURST
    print(f"{line.sent} signed requests, no 5xx")


JSON_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.sampled_from(NASTY),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*GOOD, "orders", "x"]), inner, max_size=6)
    ),
    max_leaves=12,
)


def test_bodies_of_every_kind_never_end_in_a_5xx(exchange: Exchange) -> None:
    line = Line(exchange.url)
    writes = [endpoint for endpoint in ENDPOINTS if endpoint.method != "GET"]

    @settings(max_examples=EXAMPLES * 4, suppress_health_check=list(HealthCheck))
    @given(
        st.sampled_from(writes),
        st.one_of(JSON_VALUES.map(lambda v: json.dumps(v).encode()), st.binary(max_size=200)),
        st.sampled_from(
            ["application/json", "application/x-www-form-urlencoded", "text/plain", "multipart/form-data", "", "x"]
        ),
    )
    def send(endpoint: Endpoint, body: bytes, kind: str) -> None:
        status, answer = line.ask(
            endpoint.method, f"{endpoint.path}?{signed('', body)}", body, **{"Content-Type": kind}
        )
        check_shape(endpoint.path, status, answer)

    send()


def test_oversized_and_misdirected_requests_get_the_error_of_their_path(exchange: Exchange) -> None:
    line = Line(exchange.url)
    for path in ("/api/v3/order", "/v1/orders:batch"):
        status, body = line.ask("POST", path, b"x" * 70_000)
        assert status == 413
        check_shape(path, status, body)
    for method, path, expected in [
        ("GET", "/api/v3/nope", 404),
        ("GET", "/v1/nope", 404),
        ("PATCH", "/api/v3/order", 405),
        ("PATCH", "/v1/orders:batch", 405),
        ("GET", "/api/v3/depth?symbol=" + "A" * 9000, 414),
        ("GET", "/v1/symbols?x=" + "A" * 9000, 414),
    ]:
        status, body = line.ask(method, path)
        assert status == expected, (method, path[:40], status)
        check_shape(path, status, body)


def test_the_published_schema_is_true_for_generated_requests(exchange: Exchange) -> None:
    schema = schemathesis.openapi.from_url(exchange.url + "/openapi.json")
    sent = 0
    for result in schema.get_all_operations():
        operation = result.ok()

        @settings(
            max_examples=200 if LONG else 25,
            suppress_health_check=list(HealthCheck),
            database=None,
        )
        @given(operation.as_strategy())
        def send(case: schemathesis.Case) -> None:
            nonlocal sent
            answer = case.call(base_url=exchange.url, headers={"X-MBX-APIKEY": KEY}, timeout=15)
            sent += 1
            assert answer.status_code < 500, (case.method, case.path, answer.status_code, answer.text[:500])

        send()
    print(f"{sent} requests from the schema, no 5xx")
    assert sent >= 500
