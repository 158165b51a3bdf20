"""What is not trading: probes, health, metrics, version, the reference and the status page."""

import platform
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, PlainTextResponse, Response

from outcry import __version__
from outcry.roles.api.endpoint import Endpoint
from outcry.roles.api.health import DEGRADED, OK, Health, is_ready, verbose, worst
from outcry.roles.api.openapi import document
from outcry.roles.api.page import status_page
from outcry.roles.api.problem import render, unexpected
from outcry.roles.api.reference import reference_page
from outcry.roles.api.venue import Venue
from outcry.telemetry import Telemetry

PAGE_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
PROMETHEUS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

Answering = Callable[[Request], Awaitable[Response]]


def build_service(venue: Venue, endpoints: Sequence[Endpoint], telemetry: Telemetry) -> FastAPI:
    """The app of everything that the endpoint table does not hold; all of it is GET."""
    app = FastAPI(title="Outcry", version=__version__, docs_url=None, redoc_url=None, openapi_url=None)
    health = Health(venue)
    for path, answering in {
        **_probes(venue, health),
        **_figures(telemetry),
        **_pages(venue, health, endpoints),
    }.items():
        app.add_route(path, answering, methods=["GET"])
    app.add_exception_handler(Exception, _answer_unexpected)
    return app


def _probes(venue: Venue, health: Health) -> dict[str, Answering]:
    async def livez(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def startupz(_: Request) -> Response:
        started = health.started()
        return PlainTextResponse("started\n" if started else "starting\n", 200 if started else 503)

    async def readyz(request: Request) -> Response:
        components = await health.components()
        ready = is_ready(components)
        text = verbose(components) if "verbose" in request.query_params else "ok\n" if ready else "not ready\n"
        return PlainTextResponse(text, 200 if ready else 503)

    async def whole(_: Request) -> Response:
        state = worst(await health.components())
        report = {"status": state, "version": __version__, "time": venue.clock.now_ms()}
        return _json(report, 200 if state in (OK, DEGRADED) else 503)

    async def database(_: Request) -> Response:
        report = await health.database()
        return _json(report, 200 if report["status"] == OK else 503)

    async def detailed(_: Request) -> Response:
        components = await health.components()
        report = {"status": worst(components), "version": __version__, "components": components}
        return _json(report, 200 if is_ready(components) else 503)

    return {
        "/livez": livez, "/startupz": startupz, "/readyz": readyz,
        "/api/health": whole, "/api/health/db": database, "/api/health/detailed": detailed,
    }  # fmt: skip


def _figures(telemetry: Telemetry) -> dict[str, Answering]:
    async def version(_: Request) -> Response:
        return _json({"name": "outcry", "version": __version__, "python": platform.python_version()})

    async def metrics(_: Request) -> Response:
        return Response(telemetry.exposition(), media_type=PROMETHEUS_TYPE)

    async def figures(request: Request) -> Response:
        answer: dict[str, Any] = {"data": telemetry.figures()}
        if "series" in request.query_params:
            answer["series"] = telemetry.series()
        return _json(answer)

    return {"/version": version, "/metrics": metrics, "/api/metrics": figures}


def _pages(venue: Venue, health: Health, endpoints: Sequence[Endpoint]) -> dict[str, Answering]:
    description = msgspec.json.encode(document(endpoints))
    reference = reference_page(endpoints)

    async def status(_: Request) -> Response:
        return HTMLResponse(await status_page(venue, endpoints, await health.components()), headers=PAGE_HEADERS)

    async def docs(_: Request) -> Response:
        return HTMLResponse(reference, headers=PAGE_HEADERS)

    async def openapi(_: Request) -> Response:
        return Response(description, media_type="application/json")

    return {"/": status, "/docs": docs, "/openapi.json": openapi}


async def _answer_unexpected(request: Request, _: Exception) -> Response:
    """The shape of a bug's answer; the exception itself goes on to the request's supervisor, who logs it."""
    content_type, body = render(request.url.path, unexpected())
    return Response(body, 500, media_type=content_type.decode())


def _json(report: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(report), status, media_type="application/json")
