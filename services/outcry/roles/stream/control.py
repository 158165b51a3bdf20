"""Control messages of market sockets: what a client asks of its subscriptions, and how it is told what is wrong.

Source: Binance ``web-socket-streams.md``, "Live Subscribing/Unsubscribing to streams" and its table of errors.
"""

import re
from typing import Any, Final, NamedTuple

import msgspec

SUBSCRIBE: Final = "SUBSCRIBE"
UNSUBSCRIBE: Final = "UNSUBSCRIBE"
LIST: Final = "LIST_SUBSCRIPTIONS"
SET_PROPERTY: Final = "SET_PROPERTY"
GET_PROPERTY: Final = "GET_PROPERTY"
METHODS: Final = (SUBSCRIBE, UNSUBSCRIBE, LIST, SET_PROPERTY, GET_PROPERTY)

_ID_TEXT = re.compile(r"[A-Za-z0-9_-]{1,36}", re.ASCII)
_PLACE = re.compile(r"byte ([0-9]+)")
_FIELDS: Final = frozenset(("method", "params", "id"))


class Control(NamedTuple):
    """One request. ``params`` are stream names, or a property's name and value."""

    method: str
    params: list[Any]
    id: int | str | None


class Complaint(Exception):
    """A control message that is answered with an error."""

    def __init__(self, code: int, text: str, request_id: int | str | None = None) -> None:
        super().__init__(text)
        self.answer: dict[str, Any] = {"code": code, "msg": text, "id": request_id}


def read(text: str) -> Control:
    """Reads a control message. Raises Complaint."""
    try:
        message = msgspec.json.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        place = _PLACE.search(str(error))
        column = int(place[1]) + 1 if place else 1
        raise Complaint(3, f"Invalid JSON: expected value at line 1 column {column}") from None
    if not isinstance(message, dict):
        raise Complaint(2, "Invalid request: expected an object")
    request_id = _id_of(message)
    end = f"at line 1 column {len(text)}"
    if "method" not in message:
        raise Complaint(2, f"Invalid request: missing field `method` {end}", request_id)
    method = message["method"]
    if method not in METHODS:
        expected = ", ".join(f"`{name}`" for name in METHODS)
        shown = str(method)[:64]
        raise Complaint(2, f"Invalid request: unknown variant `{shown}`, expected one of {expected} {end}", request_id)
    if not message.keys() <= _FIELDS:
        raise Complaint(2, "Invalid request: too many parameters", request_id)
    params = message.get("params")
    return Control(method, _checked(method, [] if params is None else params, request_id), request_id)


def _id_of(message: dict[str, Any]) -> int | str | None:
    wanted = message.get("id")
    known = "id" in message and (
        wanted is None
        or (type(wanted) is int and -(1 << 63) <= wanted < 1 << 63)
        or (type(wanted) is str and _ID_TEXT.fullmatch(wanted) is not None)
    )
    if not known:
        raise Complaint(2, "Invalid request: request ID must be an unsigned integer")
    return wanted


def _checked(method: str, params: Any, request_id: int | str | None) -> list[Any]:
    if not isinstance(params, list):
        raise Complaint(2, "Invalid request: params must be an array", request_id)
    if method in (SUBSCRIBE, UNSUBSCRIBE):
        if not params or not all(isinstance(name, str) for name in params):
            raise Complaint(2, "Invalid request: params must be an array of stream names", request_id)
    elif method == LIST:
        if params:
            raise Complaint(2, "Invalid request: too many parameters", request_id)
    else:
        _check_property(method, params, request_id)
    return params


def _check_property(method: str, params: list[Any], request_id: int | str | None) -> None:
    if not params or not isinstance(params[0], str):
        raise Complaint(2, "Invalid request: property name must be a string", request_id)
    if len(params) > (2 if method == SET_PROPERTY else 1):
        raise Complaint(2, "Invalid request: too many parameters", request_id)
    if params[0] != "combined":
        raise Complaint(0, "Unknown property", request_id)
    if method == SET_PROPERTY and (len(params) < 2 or not isinstance(params[1], bool)):
        raise Complaint(1, "Invalid value type: expected Boolean", request_id)
