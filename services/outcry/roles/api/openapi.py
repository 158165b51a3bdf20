"""The endpoint table as an OpenAPI 3.1 document with an example for everything."""

from collections.abc import Sequence
from typing import Any, Final

from outcry import __version__
from outcry.roles.api.endpoint import KEY_ONLY, PUBLIC, Endpoint, Param
from outcry.roles.api.params import CLIENT_ID_RANGE, DECIMAL_RANGE, MAX_TEXT, SYMBOL_RANGE
from outcry.roles.api.problem import is_binance

Schema = dict[str, Any]

ABOUT: Final = """A trading exchange that speaks the Binance Spot wire protocol; not affiliated with Binance.

Signed requests carry `X-MBX-APIKEY`, `timestamp` (milliseconds or microseconds) and `signature`: the hex HMAC-SHA256,
or base64 Ed25519, of query string + body as sent, without the signature itself. Parameters may be in the query, in a
form body, or in both (the query wins)."""

EXAMPLES: Final[dict[str, Any]] = {
    "symbol": "BTCUSD", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01000",
    "price": "60000.00",
    "quoteOrderQty": "100.00", "stopPrice": "59000.00", "icebergQty": "0.00500", "trailingDelta": 100, "interval": "1m",
    "newClientOrderId": "my-order-1", "origClientOrderId": "my-order-1", "orderId": 1, "limit": 100, "fromId": 0,
    "symbols": '["BTCUSD","ETHUSD"]', "newOrderRespType": "FULL", "selfTradePreventionMode": "EXPIRE_TAKER",
    "timestamp": 1700000000000, "recvWindow": "5000", "startTime": 1700000000000, "endTime": 1700003600000,
    "cancelReplaceMode": "STOP_ON_FAILURE", "timeZone": "0", "windowSize": "1d",
    "signature": "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71",
}  # fmt: skip

SIGNING: Final = (
    Param(name="timestamp", kind="int", required=True, note="When it was signed, in milliseconds or microseconds."),
    Param(
        name="recvWindow", kind="decimal", note="Milliseconds the request stays good; at most 60000, 5000 unless sent."
    ),
    Param(name="signature", required=True, note="Of query + body, last."),
)

SERVICE: Final = {
    "/livez": ("Alive", "text/plain", "ok\n"),
    "/readyz": ("All that the next request needs is there", "text/plain", "ok\n"),
    "/startupz": ("Start-up is over", "text/plain", "started\n"),
    "/version": ("Version", "application/json", {"name": "outcry", "version": __version__, "python": "3.11.7"}),
    "/metrics": ("Metrics for Prometheus", "text/plain", "outcry_orders_total 42.0\n"),
    "/api/health": ("The service as a whole", "application/json", {"status": "ok", "version": __version__}),
    "/api/health/db": ("The database", "application/json", {"status": "ok", "detail": "", "latency_ms": 0.2}),
    "/api/health/detailed": ("Every component, with cause", "application/json", {"status": "ok", "components": {}}),
    "/api/metrics": ("Figures of the last minute", "application/json", {"data": {"orders_per_sec": 12.5}}),
}


def document(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """The whole document."""
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        if endpoint.path:
            paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = operation(endpoint)
    for path, described in SERVICE.items():
        paths[path] = {"get": _service_operation(path, *described)}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Outcry", "version": __version__, "description": ABOUT, "license": {"name": "Apache-2.0"}},
        "tags": [{"name": tag} for tag in dict.fromkeys(e.tag for e in endpoints)] + [{"name": "service"}],
        "paths": paths,
        "components": {"securitySchemes": {"key": _key_scheme()}, "schemas": _schemas()},
    }


def operation(endpoint: Endpoint) -> dict[str, Any]:
    """One row of the table."""
    params = endpoint.params + (() if endpoint.security in (PUBLIC, KEY_ONLY) else SIGNING)
    structured = [p for p in params if p.kind == "json"]
    found: dict[str, Any] = {
        "operationId": f"{endpoint.method.lower()}{endpoint.path}".replace("/", "_").replace(":", "_"),
        "summary": endpoint.summary or endpoint.path,
        "description": _description(endpoint),
        "tags": [endpoint.tag],
        "parameters": [_parameter(p) for p in params if p.kind != "json"],
        "responses": _responses(endpoint),
    }
    if structured:
        found["requestBody"] = _body(structured)
    if endpoint.security != PUBLIC:
        found["security"] = [{"key": []}]
    return found


def schema_of(param: Param) -> Schema:
    """The JSON schema of a parameter's text."""
    schemas: dict[str, Schema] = {
        "int": {"type": "integer", "minimum": param.low or 0, "maximum": param.high or (1 << 63) - 1},
        "decimal": {"type": "string", "pattern": DECIMAL_RANGE},
        "bool": {"type": "boolean"},
        "symbol": {"type": "string", "pattern": SYMBOL_RANGE},
        "enum": {"type": "string", "enum": list(param.values)},
        "client_id": {"type": "string", "pattern": CLIENT_ID_RANGE},
        "json": {"type": ["array", "object"]},
    }
    schema = dict(schemas.get(param.kind, {"type": "string", "maxLength": MAX_TEXT}))
    if isinstance(param.default, str | int | bool):
        schema["default"] = param.default
    return schema


def _parameter(param: Param) -> dict[str, Any]:
    found: dict[str, Any] = {"name": param.name, "in": "query", "required": param.required, "schema": schema_of(param)}
    example = _example(param)
    if example is not None:
        found["example"] = example
    if param.note:
        found["description"] = param.note
    return found


def _example(param: Param) -> Any:
    if param.example is not None:
        return param.example
    if param.kind == "enum":
        known = EXAMPLES.get(param.name)
        return known if known in param.values else param.values[0]
    fallback = {"str": "text", "names": "SPOT", "client_id": "my-order-1", "bool": True, "decimal": "1.00", "int": 1}
    return EXAMPLES.get(param.name, param.default if param.default is not None else fallback.get(param.kind))


def _body(params: Sequence[Param]) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {p.name: schema_of(p) for p in params},
        "required": [p.name for p in params if p.required],
    }
    example = {p.name: p.example for p in params if p.example is not None}
    return {"required": True, "content": {"application/json": {"schema": schema, "example": example}}}


def _description(endpoint: Endpoint) -> str:
    weight = f"{endpoint.weight}" if isinstance(endpoint.weight, int) else "depends on its parameters"
    lines = [endpoint.summary or endpoint.path, f"Weight: {weight}. Security: {endpoint.security}."]
    if endpoint.ws:
        lines.append(f"WebSocket API method: `{endpoint.ws}`.")
    return "\n\n".join(lines)


def _responses(endpoint: Endpoint) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": _shape(endpoint.example)}
    if endpoint.example is not None:
        content["example"] = endpoint.example
    good = {"description": "The answer.", "content": {"application/json": content}}
    name, media = (
        ("Error", "application/json") if is_binance(endpoint.path) else ("Problem", "application/problem+json")
    )
    bad = {"schema": {"$ref": f"#/components/schemas/{name}"}}
    return {"200": good, "default": {"description": "A refusal.", "content": {media: bad}}}


def _shape(example: Any) -> Schema:
    if isinstance(example, dict):
        return {"type": "object"}
    return {"type": "array"} if isinstance(example, list) else {}


def _service_operation(path: str, summary: str, media: str, example: Any) -> dict[str, Any]:
    content = {media: {"schema": _shape(example), "example": example}}
    answers = {"200": {"description": summary, "content": content}}
    if path.endswith("z") or path.startswith("/api/health"):
        answers["503"] = {"description": "Not so.", "content": {media: {"schema": _shape(example)}}}
    return {
        "operationId": "get" + path.replace("/", "_"), "summary": summary, "tags": ["service"], "responses": answers,
    }  # fmt: skip


def _key_scheme() -> Schema:
    return {"type": "apiKey", "in": "header", "name": "X-MBX-APIKEY"}


def _schemas() -> dict[str, Schema]:
    return {
        "Error": {
            "type": "object",
            "required": ["code", "msg"],
            "properties": {"code": {"type": "integer"}, "msg": {"type": "string"}, "data": {}},
            "example": {"code": -1121, "msg": "Invalid symbol."},
        },
        "Problem": {
            "type": "object",
            "required": ["type", "title", "status", "detail", "code"],
            "properties": {
                "type": {"type": "string"}, "title": {"type": "string"}, "status": {"type": "integer"},
                "detail": {"type": "string"}, "instance": {"type": "string"}, "code": {"type": "integer"},
                "errors": {"type": "array", "items": {"type": "object"}},
            },
            "example": {
                "type": "/docs#error-1121", "title": "Bad Request", "status": 400, "detail": "Invalid symbol.",
                "instance": "/v1/trades", "code": -1121,
            },
        },
    }  # fmt: skip
