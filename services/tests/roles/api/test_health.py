"""Probes tell the truth about what the next request would meet."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from outcry import __version__
from tests.support.gated import Gated, gated


@pytest.fixture
async def front(tmp_path: Path) -> AsyncIterator[Gated]:
    async with gated(tmp_path) as running:
        yield running


async def test_a_sound_venue_is_alive_started_and_ready(front: Gated) -> None:
    for path in ("/livez", "/startupz", "/readyz", "/api/health", "/api/health/db", "/api/health/detailed"):
        assert (await front.ask("GET", path)).status_code == 200, path


async def test_a_component_that_is_down_makes_it_unready_but_not_dead(front: Gated) -> None:
    front.venue.status["engine"] = {"status": "down", "detail": "It halted."}
    assert (await front.ask("GET", "/livez")).status_code == 200
    assert (await front.ask("GET", "/readyz")).status_code == 503
    assert "[-]engine down: It halted." in (await front.ask("GET", "/readyz", "verbose")).text
    whole = await front.ask("GET", "/api/health")
    assert (whole.status_code, whole.json()["status"]) == (503, "down")
    detailed = (await front.ask("GET", "/api/health/detailed")).json()
    assert detailed["components"]["engine"] == {"status": "down", "detail": "It halted."}


async def test_a_degraded_venue_still_answers(front: Gated) -> None:
    front.venue.status["streams"] = {"status": "degraded", "detail": "One client lags."}
    ready = await front.ask("GET", "/readyz")
    whole = await front.ask("GET", "/api/health")
    assert (ready.status_code, whole.status_code, whole.json()["status"]) == (200, 200, "degraded")


async def test_while_it_starts_it_is_not_ready(front: Gated) -> None:
    front.venue.status["engine"] = {"status": "starting", "detail": "Loads the book."}
    assert (await front.ask("GET", "/startupz")).status_code == 503
    assert (await front.ask("GET", "/readyz")).status_code == 503


async def test_without_a_symbol_start_up_is_not_over(front: Gated) -> None:
    front.venue.use([])
    assert (await front.ask("GET", "/startupz")).status_code == 503
    assert "[-]symbols starting" in (await front.ask("GET", "/readyz", "verbose")).text


async def test_a_closed_ledger_makes_it_unready(front: Gated) -> None:
    await asyncio.to_thread(front.store.close)
    assert (await front.ask("GET", "/readyz")).status_code == 503
    database = await front.ask("GET", "/api/health/db")
    assert (database.status_code, database.json()["status"]) == (503, "down")
    assert (await front.ask("GET", "/livez")).status_code == 200


async def test_version_and_figures_can_be_read(front: Gated) -> None:
    assert (await front.ask("GET", "/version")).json()["version"] == __version__
    figures = (await front.ask("GET", "/api/metrics")).json()["data"]
    assert {"orders_per_sec", "trades_per_sec", "volume_per_sec", "avg_latency", "p50_latency", "p95_latency",
            "p99_latency", "cpu_percent", "memory_mb"} <= figures.keys()  # fmt: skip


async def test_prometheus_sees_requests_by_route_and_never_by_made_up_path(front: Gated) -> None:
    await front.ask("GET", "/api/v3/ping")
    await front.ask("GET", "/api/v3/made-up-path")
    text = (await front.ask("GET", "/metrics")).text
    assert 'outcry_http_requests_total{method="GET",route="/api/v3/ping",status="200"} 1.0' in text
    assert "made-up-path" not in text


async def test_the_status_page_shows_markets_without_loading_anything(front: Gated) -> None:
    front.venue.last_prices[1] = 6_000_000
    page = await front.ask("GET", "/")
    assert "60000.00" in page.text and "BTCUSD" in page.text and "no trade yet" in page.text
    assert 'http-equiv="refresh"' in page.text
    assert "<script" not in page.text and "http://" not in page.text and "https://" not in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'none'")


async def test_a_name_that_looks_like_html_is_shown_as_text(front: Gated) -> None:
    front.venue.status["<b>x</b>"] = {"status": "ok", "detail": "<script>"}
    page = await front.ask("GET", "/")
    assert "&lt;script&gt;" in page.text and "<script>" not in page.text
