"""How a refusal looks on the wire: Binance's ``{"code","msg"}``, or RFC 9457 problem+json on native paths."""

from http import HTTPStatus
from typing import Any, Final

import msgspec

from outcry.roles.api.errors import Refusal

BINANCE_PATHS: Final = ("/api/v3", "/sapi/", "/fapi/", "/dapi/")
JSON_TYPE: Final = b"application/json;charset=UTF-8"
PROBLEM_TYPE: Final = b"application/problem+json"

_encode = msgspec.json.Encoder().encode


def is_binance(path: str) -> bool:
    """Whether errors under ``path`` have Binance's shape."""
    return path.startswith(BINANCE_PATHS)


def render(path: str, refusal: Refusal) -> tuple[bytes, bytes]:
    """Content type and body of a refusal in the shape of its path."""
    if is_binance(path):
        return JSON_TYPE, _encode(binance_error(refusal))
    return PROBLEM_TYPE, _encode(problem(path, refusal))


def binance_error(refusal: Refusal) -> dict[str, Any]:
    """The error object of ``/api/v3`` and of the WebSocket API."""
    error: dict[str, Any] = {"code": refusal.code, "msg": refusal.text}
    if refusal.data is not None:
        error["data"] = refusal.data
    return error


def problem(path: str, refusal: Refusal) -> dict[str, Any]:
    """The problem details of a native path; ``type`` points into the reference at ``/docs``."""
    details: dict[str, Any] = {
        "type": f"/docs#error{refusal.code}",
        "title": HTTPStatus(refusal.status).phrase,
        "status": refusal.status,
        "detail": refusal.text,
        "instance": path[:256],
        "code": refusal.code,
    }
    if refusal.errors:
        details["errors"] = refusal.errors
    if refusal.data is not None:
        details["data"] = refusal.data
    return details


def not_found() -> Refusal:
    return Refusal(-1020, "There is nothing at this path; /docs lists what there is.", 404)


def wrong_method(allowed: str) -> Refusal:
    return Refusal(-1020, f"This path allows {allowed} only.", 405, headers={"Allow": allowed})


def body_too_large(limit: int, *, close: bool) -> Refusal:
    headers = {"Connection": "close"} if close else {}
    return Refusal(-1013, f"The request body is larger than {limit} bytes.", 413, headers=headers)


def body_too_slow() -> Refusal:
    return Refusal(-1013, "The request body did not arrive in time.", 408, headers={"Connection": "close"})


def url_too_long(limit: int) -> Refusal:
    return Refusal(-1013, f"The URL is longer than {limit} bytes.", 414, headers={"Connection": "close"})


def headers_too_large(limit: int) -> Refusal:
    return Refusal(-1013, f"The request headers are larger than {limit} bytes.", 431, headers={"Connection": "close"})


def only_json() -> Refusal:
    return Refusal(-1155, "SBE is not enabled.", 406)


def unexpected() -> Refusal:
    """A bug of ours; the log has its cause."""
    return Refusal(-1000, "An unknown error occurred while processing the request.", 500)
