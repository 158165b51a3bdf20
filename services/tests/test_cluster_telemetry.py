"""What the processes of a cluster tell: one order is one trace across them, and between them they tell every metric."""

import hashlib
import hmac
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest

from outcry.telemetry import names
from outcry.telemetry.names import METRICS, STAGES
from tests.support.cluster import RunningCluster, running_cluster
from tests.support.collector import Collector, collecting
from tests.test_metrics import told
from tests.test_traces import ASKED, ORDER, PARENT, TRACE

# Told once there is something to tell.
ON_OCCASION = {
    names.ERRORS, names.SOCKETS, names.SOCKET_REQUESTS, names.HALT, names.COMMIT_TROUBLE, names.TRADES, names.WISHES,
    names.GC_PAUSE, names.BREAKER, names.BREAKER_OPENED,
}  # fmt: skip
CLOCKS_NS = 5_000_000  # by which the clocks of two processes on one machine may seem to differ


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningCluster, Collector]]:
    """A cluster that sends its traces to a collector."""
    folder: Path = tmp_path_factory.mktemp("cluster")
    with collecting() as collector:
        settings = {"OUTCRY_OTLP_ENDPOINT": collector.url, "OUTCRY_TRACE_SAMPLE": "0"}
        with running_cluster(folder, apis=1, engines=1, **settings) as cluster:
            yield cluster, collector


def place(cluster: RunningCluster) -> None:
    """Places an order with the first demo account's key."""
    key, secret = cluster.key(1001)
    query = urlencode({**ORDER, "timestamp": int(time.time() * 1000)})
    signature = hmac.new(secret.encode(), query.encode(), hashlib.sha256).hexdigest()
    headers = {"X-MBX-APIKEY": key, "traceparent": ASKED}
    answer = httpx.post(f"{cluster.url}/api/v3/order?{query}&signature={signature}", headers=headers, timeout=15)
    assert answer.status_code == 200, answer.text


def test_an_order_is_one_trace_across_processes(watched: tuple[RunningCluster, Collector]) -> None:
    cluster, collector = watched
    place(cluster)
    spans = collector.of(TRACE, 1 + len(STAGES))
    whole = spans[0]
    assert whole.parent_id == PARENT and {span.parent_id for span in spans[1:]} == {whole.span_id}
    assert [s.name for s in spans if s.role == "api"] == ["order", "admit", "hold", "journal", "answer"]
    assert [s.name for s in spans if s.role == "engine"] == ["match", "commit", "publish"]
    stages = {span.name: span for span in spans[1:]}
    assert stages["commit"].ended_ns <= stages["answer"].began_ns + CLOCKS_NS


def test_health_names_what_it_hears_and_what_it_shares(watched: tuple[RunningCluster, Collector]) -> None:
    cluster, _ = watched
    for url in (cluster.url, cluster.stream_url.replace("ws:", "http:")):
        components = httpx.get(f"{url}/api/health/detailed", timeout=15).json()["components"]
        assert (components["feed"]["status"], components["shared"]["status"]) == ("ok", "ok"), components


def test_the_processes_tell_every_metric_between_them(watched: tuple[RunningCluster, Collector]) -> None:
    cluster, _ = watched
    place(cluster)
    urls = [process.url for process in cluster.processes.processes.values() if process.url]
    pages = [httpx.get(f"{url}/metrics", timeout=15).text for url in urls]
    found = {name for page in pages for name in told(page)}
    assert {each.name for each in METRICS if each not in ON_OCCASION} - found == set()
    assert {name for name in found if name.startswith("outcry_")} <= {each.name for each in METRICS}
