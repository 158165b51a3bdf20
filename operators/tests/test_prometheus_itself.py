"""What canaries are judged by, asked of a real Prometheus that scrapes two pods: the queries and the arithmetic."""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator

import msgspec
import pytest
import urllib3

from outcry_operator.canary.figures import pairs_from_prometheus
from outcry_operator.canary.judge import Pair
from outcry_operator.canary.spec import CanarySpec
from outcry_operator.prometheus import ask
from tests.world.pools import NOW_MS, pod
from tests.world.quickserver import JsonCall, QuickServer

pytestmark = pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="prometheus is not installed (Debian's package of that name has it)"
)

WINDOW_SECONDS = 4
PATIENCE_SECONDS = 30.0
STABLE, CANARY = "outcry-api-0", "outcry-api-canary-0"


class Scraped(JsonCall):
    """Counters that grow with time: 200 answers a second of each pod, a quarter of the canary's are errors."""

    def do_GET(self) -> None:
        seconds = time.monotonic() - self.server.keeper
        is_canary = self.path == "/canary"
        bad = 50 * seconds if is_canary else 0
        slow = 20 * seconds if is_canary else 0
        self.told(200, "\n".join((
            f'outcry_http_requests_total{{status="200"}} {150 * seconds}',
            f'outcry_http_requests_total{{status="429"}} {50 * seconds - bad}',
            f'outcry_http_requests_total{{status="503"}} {bad}',
            f'outcry_http_request_seconds_bucket{{le="0.1"}} {200 * seconds - slow}',
            f'outcry_http_request_seconds_bucket{{le="0.3"}} {200 * seconds}',
            f'outcry_http_request_seconds_bucket{{le="+Inf"}} {200 * seconds}',
            f"outcry_http_request_seconds_count {200 * seconds}",
            f"outcry_engine_commands_total {30 * seconds}",
            f'outcry_engine_lag_seconds{{partition="0"}} {1.5 if is_canary else 0.25}',
            'outcry_engine_lag_seconds{partition="1"} 0',
            f'outcry_engine_frame_seconds_bucket{{le="0.01"}} {40 * seconds}',
            f'outcry_engine_frame_seconds_bucket{{le="+Inf"}} {40 * seconds}',
            f"outcry_engine_frame_seconds_count {40 * seconds}",
            "",
        )))  # fmt: skip


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prometheus that has seen both pods for a window and more."""
    folder, port = tmp_path_factory.mktemp("prometheus"), _free_port()
    pods = QuickServer("127.0.0.1", Scraped, time.monotonic())
    jobs = [
        {
            "job_name": name, "metrics_path": path,
            "static_configs": [{"targets": [f"127.0.0.1:{pods.server_port}"], "labels": {"pod": name}}],
        }
        for name, path in ((STABLE, "/stable"), (CANARY, "/canary"))
    ]  # fmt: skip
    settings = {"global": {"scrape_interval": "500ms", "scrape_timeout": "400ms"}, "scrape_configs": jobs}
    (folder / "prometheus.yml").write_text(json.dumps(settings))
    command = [
        "prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}", "--log.level=error",
    ]  # fmt: skip
    with subprocess.Popen(command) as running:
        try:
            _await_samples(f"http://127.0.0.1:{port}")
            yield f"http://127.0.0.1:{port}"
        finally:
            running.terminate()
    pods.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_samples(address: str) -> None:
    """Until each pod was scraped all through two windows."""
    query = f"min(count_over_time(outcry_engine_commands_total[{2 * WINDOW_SECONDS}s]))"
    until = time.monotonic() + PATIENCE_SECONDS
    while (ask(urllib3.PoolManager(), address, query, NOW_MS).value or 0) < 2 * WINDOW_SECONDS:
        assert time.monotonic() < until, "Prometheus has no samples"
        time.sleep(0.2)


def judged(component: str, address: str, canary: str = CANARY) -> dict[str, Pair]:
    """The figures of both tracks."""
    spec = msgspec.convert(
        {
            "component": component, "stableRef": {"kind": "Deployment", "name": "s"},
            "canaryRef": {"kind": "Deployment", "name": "c"},
            "analysis": {"source": "prometheus", "windowSeconds": WINDOW_SECONDS, "prometheus": {"address": address}},
        },
        CanarySpec,
    )  # fmt: skip
    return pairs_from_prometheus(spec, urllib3.PoolManager(), ([pod(canary)], [pod(STABLE)]), NOW_MS)


def test_errors_are_the_share_of_5xx_among_all_answers(address: str) -> None:
    found = judged("api", address)["errorRate"]
    assert found.canary.value == pytest.approx(0.25, rel=0.02)
    assert found.stable.value == 0
    assert found.canary.samples == pytest.approx(200 * WINDOW_SECONDS, rel=0.2)


def test_a_latency_is_the_99th_percentile_of_the_window(address: str) -> None:
    found = judged("api", address)["latencyP99Ms"]
    assert found.canary.value == pytest.approx(280, abs=2)  # the slow tenth lies between 100 and 300 ms
    assert found.stable.value == pytest.approx(99, abs=1)


def test_engines_are_judged_by_their_largest_lag_and_the_age_of_their_frames(address: str) -> None:
    found = judged("engine", address)
    assert (found["lagMs"].canary.value, found["lagMs"].stable.value) == (1500, 250)
    assert found["lagMs"].canary.samples == pytest.approx(30 * WINDOW_SECONDS, rel=0.2)
    assert found["commitLatencyP99Ms"].canary.value == pytest.approx(9.9, abs=0.1)


def test_a_canary_that_was_never_scraped_has_no_figure_and_no_trouble(address: str) -> None:
    found = judged("api", address, "outcry.api-canary-9")
    assert [(pair.canary.value, pair.canary.samples, pair.canary.trouble) for pair in found.values()] == [
        (None, 0, ""), (None, 0, ""),
    ]  # fmt: skip
