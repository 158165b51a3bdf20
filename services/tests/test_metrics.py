"""Every metric is one of the catalogue's, the page of metrics shows the catalogue, and an exchange at work tells it."""

import asyncio
import gc
import re
import time
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from outcry.telemetry import Telemetry, names
from outcry.telemetry.instruments import SECONDS, Panel
from outcry.telemetry.names import CLUSTER, METRICS, REASONS, STAGES, Metric, kind_of_halt
from outcry.telemetry.process import feel_pulse
from outcry.wiring.embedded import Exchange
from tests.support.inprocess import PATIENCE_SECONDS, Client, running

PAGE = Path(__file__).resolve().parents[2] / "docs/metrics.md"
ROW = re.compile(r"^\| `(\w+)` \| (\w+) \| (.*?) \| (.*?) \| (\w+) \|$", re.MULTILINE)
ORDER = {"symbol": "BTCUSD", "side": "SELL", "type": "LIMIT", "timeInForce": "GTC", "quantity": "1", "price": "60000"}

Samples = dict[tuple[str, tuple[str, ...]], float]


def samples(text: str) -> Samples:
    """Every sample of an exposition by its name and its labels' values."""
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def told(text: str) -> dict[str, tuple[str, str]]:
    """The metrics that have a sample in an exposition, as (type, meaning) by name."""
    found = {}
    for family in text_string_to_metric_families(text):
        if family.samples:
            name = f"{family.name}_total" if family.type == "counter" else family.name
            found[name] = family.type, family.documentation
    return found


async def metrics(client: Client) -> str:
    answer = await client.http.get("/metrics")
    assert answer.status_code == 200
    return answer.text


async def once(client: Client, *texts: str) -> str:
    """The exposition as soon as it has all of these texts."""
    async with asyncio.timeout(30):
        while True:
            text = await metrics(client)
            if all(each in text for each in texts):
                return text
            await asyncio.sleep(0.05)


def test_the_page_of_metrics_is_the_catalogue() -> None:
    page = PAGE.read_text()
    shown = {m[1]: (m[2], m[3], m[4], m[5]) for m in ROW.finditer(page)}
    catalogue = {
        each.name: (each.kind, ", ".join(f"`{label}`" for label in each.labels), each.about, each.where)
        for each in METRICS
    }
    assert shown == catalogue
    assert {name for name in names.FOREIGN if f"`{name}`" not in page} == set()


def test_names_say_what_they_count_and_in_which_unit() -> None:
    assert len({each.name for each in METRICS}) == len(METRICS)
    for each in METRICS:
        assert each.name.startswith("outcry_")
        assert each.name.endswith("_total") == (each.kind == names.COUNTER)
        assert not re.search(r"_(ms|millis|micros|mb)(_|$)", each.name)


async def test_an_exchange_at_work_tells_every_metric_that_it_has(tmp_path: Path) -> None:
    async with running(tmp_path, simulation_enabled=True, simulation_orders_per_sec=400.0) as (exchange, client):
        await client.signed("POST", "/api/v3/order", **ORDER)
        exchange.telemetry.errors.labels("desk").inc()
        await exchange.engine._own.halt(3, "record 7: AssertionError: a bug")
        gc.collect()
        exchange.telemetry.socket_requests.labels("order.place", "200").inc()
        exchange.telemetry.sockets.labels("market").inc()
        text = await once(client, "outcry_trades_total{", "outcry_engine_partition_halted{", "pause_seconds_count{")
    found = told(text)
    expected = {each.name: (each.kind, each.about) for each in METRICS if each.where != CLUSTER}
    only_on_trouble = {names.COMMIT_TROUBLE.name, names.TRACES.name}
    assert {name: found.get(name) for name in expected.keys() - only_on_trouble} == {
        name: expected[name] for name in expected.keys() - only_on_trouble
    }
    assert found.keys() - expected.keys() - {each.name for each in METRICS} == set(names.FOREIGN)


async def test_each_stage_of_each_order_is_timed(tmp_path: Path) -> None:
    async with running(tmp_path) as (_, client):
        before = samples(await metrics(client))
        for _ in range(5):
            assert (await client.signed("POST", "/api/v3/order", **ORDER))[0] == 200
        published = ("outcry_order_stage_seconds_count", ("publish",))  # the last thing that is noted of an order
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (after := samples(await metrics(client)))[published] < before.get(published, 0.0) + 5:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    def grown(name: str, *labels: str) -> float:
        return after[(name, labels)] - before.get((name, labels), 0.0)

    counts = {stage: grown("outcry_order_stage_seconds_count", stage) for stage in STAGES}
    assert counts == dict.fromkeys(STAGES, 5)
    whole = grown("outcry_order_seconds_sum")
    stages = [grown("outcry_order_stage_seconds_sum", stage) for stage in STAGES[1:-1]]
    assert all(seconds > 0 for seconds in stages) and sum(stages) < whole * 1.25
    assert grown("outcry_orders_total") == grown("outcry_order_seconds_count") == 5
    assert grown("outcry_desk_micro_batch_orders_sum") == 5
    assert grown("outcry_engine_commands_total") == grown("outcry_engine_commit_seconds_count") == 5
    assert grown("outcry_engine_commit_rows_sum") >= 5 * 3  # an order, its intake mark and its symbol
    assert after[("outcry_engine_takeovers_total", ())] == after[("outcry_engine_owned_partitions", ())] == 4


async def test_a_halted_partition_says_why_in_metrics_health_and_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(tmp_path) as (exchange, client):
        await exchange.engine._own.halt(2, "record 9: AssertionError: no such order")
        found = samples(await once(client, "outcry_engine_partition_halted{"))
        assert found[("outcry_engine_halted_partitions", ())] == 1
        assert found[("outcry_engine_partition_halted", ("2", "command"))] == 1
        report = (await client.http.get("/api/health/detailed")).json()
        assert "partition 2: record 9: AssertionError: no such order" in report["components"]["partitions"]["detail"]
        assert report["status"] == "degraded"
        matching = report["components"]["matching"]
        assert {"lag_records", "oldest_ms", "unacknowledged_orders", "halted"} <= matching.keys()
    assert "Partition 2 halts: record 9: AssertionError: no such order" in caplog.text


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("record 9: AssertionError: no such order", "command"),
        ("before record 9: AssertionError: hold of order 3", "batch"),
        ("intake_missing: order 7", "intake"),
        ("the open orders hash to 1, the ledger says 2", "state"),
        ("the stored state cannot be built: KeyError: 1", "state"),
        ("the journal ends before record 4, which was applied already", "journal"),
        ("record 4 of the journal is not the one that was applied", "journal"),
        ("halted by an operator", "operator"),
        ("somebody's own words", "other"),
    ],
)
def test_the_reasons_of_halts_are_a_few_kinds(text: str, kind: str) -> None:
    assert kind_of_halt(text) == kind
    assert kind in REASONS


def test_a_histogram_counts_what_lies_at_or_below_each_bound() -> None:
    panel = Panel()
    steps = panel.histogram(Metric("x_seconds", names.HISTOGRAM, "x"))
    steps.observe(0.001, 3)
    steps.observe(0.0011)
    steps.observe(99.0)
    (family,) = panel.collect()
    found = {sample.labels.get("le", sample.name): sample.value for sample in family.samples}
    assert (found["0.0005"], found["0.001"], found["0.0025"], found["10.0"], found["+Inf"]) == (0, 3, 4, 4, 5)
    assert found["x_seconds_count"] == 5 and found["x_seconds_sum"] == pytest.approx(0.003 + 0.0011 + 99)


def test_latencies_of_all_time_lie_in_the_steps_they_belong_to() -> None:
    telemetry = Telemetry()
    for micros in (90, 110, 900, 40_000, 40_000, 11_000_000):
        telemetry.note_order(micros / 1e6)
    found = samples(telemetry.exposition().decode())
    at = {bound: found[("outcry_order_seconds_bucket", (str(bound),))] for bound in SECONDS}
    assert (at[0.0001], at[0.00025], at[0.001], at[0.025], at[0.05], at[10.0]) == (1, 2, 3, 3, 5, 5)
    assert found[("outcry_order_seconds_count", ())] == 6


def test_what_happened_before_this_second_still_counts() -> None:
    telemetry = Telemetry(retention_seconds=2)
    for at in (100.0, 100.5, 101.0, 107.0, 109.0):
        telemetry.minute.note_orders(at, 0.001)
    found = samples(telemetry.exposition().decode())
    assert found[("outcry_orders_total", ())] == found[("outcry_order_seconds_count", ())] == 5


def test_a_breaker_tells_whether_it_is_open_and_how_often_it_was() -> None:
    telemetry = Telemetry()
    for is_open in (True, False, True):
        telemetry.note_breaker("PostgreSQL", is_open)
    found = samples(telemetry.exposition().decode())
    assert found[("outcry_breaker_open", ("PostgreSQL",))] == 1
    assert found[("outcry_breaker_opened_total", ("PostgreSQL",))] == 2


async def test_a_busy_loop_is_felt() -> None:
    telemetry = Telemetry()
    pulse = asyncio.create_task(feel_pulse(telemetry.loop_lag))
    await asyncio.sleep(0)
    time.sleep(0.25)  # noqa: ASYNC251
    await asyncio.sleep(0.05)
    pulse.cancel()
    assert telemetry.loop_lag.total > 0.1


async def test_unknown_outcomes_are_counted(tmp_path: Path) -> None:
    async with running(tmp_path, reply_timeout_seconds=0.3) as (exchange, client):
        await silence(exchange)
        status, answer = await client.signed("POST", "/api/v3/order", **ORDER)
        assert (status, answer["code"]) == (504, -1007)
        assert samples(await metrics(client))[("outcry_orders_unknown_total", ())] == 1
        assert samples(await metrics(client))[("outcry_desk_unacknowledged_orders", ())] == 0


async def silence(exchange: Exchange) -> None:
    """Ends the engine, so that orders get no outcome."""
    await exchange.crew.stop("engine")
