"""One order is one trace: every stage from the request to the answer, in its order, whichever process it passed."""

from pathlib import Path

import httpx
import pytest

from outcry.codec import encode_frame, traceparent_of
from outcry.market.commands import Tick
from outcry.settings import Settings, SettingsError
from outcry.telemetry.names import STAGES
from outcry.telemetry.traces import is_sampled, trace_id_of
from outcry.wiring.process import tracer_of
from tests.support.collector import collecting
from tests.support.inprocess import Client, running
from tests.support.notebook import Notebook

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
ASKED = f"00-{TRACE}-{PARENT}-01"
ORDER = {"symbol": "BTCUSD", "side": "SELL", "type": "LIMIT", "timeInForce": "GTC", "quantity": "1", "price": "60000"}


async def place(client: Client, traceparent: str = "", **changes: str) -> httpx.Response:
    client.http.headers["traceparent"] = traceparent
    status, answer = await client.signed("POST", "/api/v3/order", **{**ORDER, **changes})
    assert status == 200 or changes, answer
    return answer


async def test_an_order_that_asks_for_it_is_one_trace_with_all_stages_in_order(tmp_path: Path) -> None:
    book = Notebook(sample=0.0)
    async with running(tmp_path, tracer=book.tracer) as (_, client):
        await place(client, ASKED)
    assert book.names == ["order", *STAGES]
    whole, *stages = book.spans
    assert {f"{span.context.trace_id:032x}" for span in book.spans if span.context} == {TRACE}
    assert whole.parent is not None and f"{whole.parent.span_id:016x}" == PARENT
    assert whole.context is not None and {s.parent.span_id for s in stages if s.parent} == {whole.context.span_id}
    assert all(whole.start_time <= s.start_time <= s.end_time <= whole.end_time for s in stages)  # type: ignore[operator]
    (match,) = (span for span in stages if span.name == "match")
    assert dict(match.attributes or {}) == {"outcry.partition": 0, "outcry.offset": 2}


async def test_a_sample_of_one_traces_every_order_that_nobody_decided_about(tmp_path: Path) -> None:
    book = Notebook(sample=1.0)
    async with running(tmp_path, tracer=book.tracer) as (_, client):
        await place(client)
        await place(client, ASKED.replace("-01", "-00"))
        await place(client, "nonsense")
    assert book.names.count("order") == 2
    assert [span.parent for span in book.spans if span.name == "order"] == [None, None]


async def test_without_a_wish_or_a_sample_nothing_is_traced(tmp_path: Path) -> None:
    book = Notebook(sample=0.0)
    async with running(tmp_path, tracer=book.tracer) as (_, client):
        await place(client)
        await place(client, ASKED.replace("-01", "-00"))
    assert book.spans == []


async def test_an_order_refused_before_the_journal_has_a_trace_that_ends_there(tmp_path: Path) -> None:
    book = Notebook(sample=0.0)
    async with running(tmp_path, tracer=book.tracer) as (_, client):
        await place(client, ASKED, quantity="9000")
    assert book.names == ["order", "admit", "hold", "answer"]


def test_a_record_tells_its_trace_without_being_decoded() -> None:
    tick = Tick(command_id=0, symbol_id=0)
    assert traceparent_of(encode_frame([tick], reply_to="pod-7", traceparent=ASKED)) == ASKED
    assert traceparent_of(encode_frame([tick], reply_to="pod-7")) == ""
    assert traceparent_of(b"") == "" and not is_sampled(traceparent_of(b"\xff" * 60))


@pytest.mark.parametrize(
    ("text", "sampled"), [(ASKED, True), (ASKED[:-1] + "3", True), (ASKED[:-1] + "0", False), ("", False)]
)
def test_a_traceparent_says_whether_it_is_written(text: str, sampled: bool) -> None:
    assert is_sampled(text) is sampled
    assert trace_id_of(text) == (TRACE if text else "")


async def test_traces_are_sent_to_the_collector_that_the_settings_name(tmp_path: Path) -> None:
    with collecting() as collector:
        async with running(tmp_path, otlp_endpoint=collector.url, trace_sample=0.0) as (_, client):
            await place(client, ASKED)
        spans = collector.of(TRACE, 1 + len(STAGES))
    assert [(span.role, span.name) for span in spans] == [("up", name) for name in ("order", *STAGES)]


async def test_a_collector_that_is_away_stops_no_order(tmp_path: Path) -> None:
    async with running(tmp_path, otlp_endpoint="http://127.0.0.1:9", trace_sample=1.0) as (_, client):
        await place(client)
        await place(client, ASKED)


def test_nothing_is_traced_unless_somebody_says_where_to() -> None:
    assert tracer_of(Settings(), pod="p", role="r") is None


def test_where_opentelemetry_is_missing_the_settings_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "outcry.telemetry.otel", None)
    with pytest.raises(SettingsError, match=r"outcry\[otel\]"):
        tracer_of(Settings(otlp_endpoint="http://localhost:4318"), pod="p", role="r")
