"""Turns what a client sent into typed parameters, or into the refusal that names what is wrong with it."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import unquote_plus

import msgspec

from outcry.decimals import minor_units
from outcry.market.instrument import Instrument
from outcry.roles.api.endpoint import CLIENT_ID, DECIMAL, Param
from outcry.roles.api.errors import Refusal, bad_symbol, illegal, missing

MAX_PAIRS: Final = 256  # names in one query, body or message; more are refused
MAX_TEXT: Final = 512  # characters of a free text parameter
MAX_SYMBOLS: Final = 256  # symbols in one list
LARGEST_INT: Final = (1 << 63) - 1
TOO_PRECISE: Final = -1  # a decimal of more than 8 decimals: legal as such, and refused by who needs it
MICROSECONDS_FROM: Final = 10**14  # a time this large is in microseconds (in milliseconds it would be the year 5138)

DECIMAL_RANGE: Final = r"^([0-9]{1,20})(\.[0-9]{1,20})?$"
INT_RANGE: Final = "^[0-9]{1,20}$"
SYMBOL_RANGE: Final = "^[A-Z0-9-_.]{1,20}$"
SYMBOLS_RANGE: Final = r"^\[(\"[A-Z0-9-_.]{1,20}\"(,\"[A-Z0-9-_.]{1,20}\"){0,}){0,1}\]$"
CLIENT_ID_RANGE: Final = "^[A-Za-z0-9_.:/-]{1,36}$"

# What every signed request carries beside its own parameters, and what the WebSocket API adds.
ENVELOPE: Final = frozenset(("timestamp", "recvWindow", "signature", "apiKey", "returnRateLimits"))
TIMES: Final = frozenset(("startTime", "endTime"))  # milliseconds or microseconds; parsed to milliseconds

_INT = re.compile(r"[0-9]{1,20}", re.ASCII)
_SYMBOL = re.compile(r"[A-Z0-9_.-]{1,20}", re.ASCII)
_NAME = re.compile(r"[A-Z0-9_]{1,32}", re.ASCII)
_JSON = msgspec.json.Decoder(float_hook=str)
_ENUM_REFUSALS: Final[dict[str, tuple[int, str]]] = {
    "side": (-1117, "Invalid side."),
    "type": (-1116, "Invalid orderType."),
    "timeInForce": (-1115, "Invalid timeInForce."),
    "interval": (-1120, "Invalid interval."),
    "symbolStatus": (-1122, "Invalid symbolStatus."),
    "cancelRestrictions": (
        -1145,
        "`cancelRestrictions` has to be either `ONLY_NEW` or `ONLY_PARTIALLY_FILLED`.",
    ),
    "selfTradePreventionMode": (
        -1013,
        "This symbol does not allow the specified self-trade prevention mode.",
    ),
}

Instruments = Mapping[str, Instrument]
Reader = Callable[[Any, Instruments], Any]


class Recipe:
    """How one endpoint's parameters are read; made once, used for every request.

    ``strict`` (native ``/v1``): unknown names are refused, and every problem is listed at once. A request is first
    read in the order in which it came; only one with a problem is read again in the table's, to tell it.
    """

    def __init__(self, params: Sequence[Param], *, strict: bool = False) -> None:
        self.strict = strict
        self.names = frozenset(p.name for p in params)
        self._slots = tuple(_slot(p, strict) for p in params)
        self._readers = {slot[0]: slot[4] for slot in self._slots}
        self._structured = frozenset(slot[0] for slot in self._slots if slot[3])
        self._required = tuple(p.name for p in params if p.required)
        self._defaults = {p.name: p.default for p in params if p.default is not None}
        self._known = self.names | ENVELOPE
        self._exclusive = {"symbol", "symbols"} <= self.names

    def read(self, sent: Mapping[str, Any], instruments: Instruments) -> dict[str, Any]:
        """Typed values by name; optional ones that were not sent and have no default are missing. Raises Refusal."""
        found = self.read_sound(sent, instruments)
        if found is None:
            return self._read_strictly(sent, instruments) if self.strict else self._read_in_order(sent, instruments)
        return found

    def read_sound(self, sent: Mapping[str, Any], instruments: Instruments) -> dict[str, Any] | None:
        """What ``read`` gives for a request without a problem and all its scalars as text; None for any other."""
        found = dict(self._defaults)
        readers = self._readers
        for name, value in sent.items():
            reader = readers.get(name)
            if reader is None:
                if self.strict and name not in self._known:
                    return None
            elif not value or (type(value) is not str and name not in self._structured):
                return None
            else:
                try:
                    found[name] = reader(value, instruments)
                except Refusal:
                    return None
        for name in self._required:
            if name not in found:
                return None
        return None if self._exclusive and "symbol" in found and "symbols" in found else found

    def _read_in_order(self, sent: Mapping[str, Any], instruments: Instruments) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for slot in self._slots:
            _take(slot, sent, instruments, found)
        if self._exclusive and "symbol" in found and "symbols" in found:
            raise Refusal(-1128, "Combination of optional parameters invalid.")
        return found

    def _read_strictly(self, sent: Mapping[str, Any], instruments: Instruments) -> dict[str, Any]:
        found: dict[str, Any] = {}
        problems = [
            (name, Refusal(-1103, f"An unknown parameter was sent: '{name[:64]}'."))
            for name in sent
            if name not in self._known
        ]
        for slot in self._slots:
            try:
                _take(slot, sent, instruments, found)
            except Refusal as refusal:
                problems.append((slot[0], refusal))
        if problems:
            first = problems[0][1]
            errors = [{"parameter": name[:64], "code": r.code, "detail": r.text} for name, r in problems]
            raise Refusal(first.code, first.text, first.status, errors=errors)
        return found


def read_pairs(raw: bytes) -> dict[str, str]:
    """The ``name=value`` pairs of a query or a form body, percent-decoded. Raises Refusal -1101."""
    if not raw:
        return {}
    if raw.count(b"&") >= MAX_PAIRS:
        raise Refusal(-1101, "Too many parameters sent for this endpoint.")
    text = raw.decode("utf-8", "replace")
    escaped = "%" in text or "+" in text
    sent: dict[str, str] = {}
    for pair in text.split("&"):
        name, _, value = pair.partition("=")
        if escaped:
            name, value = unquote_plus(name), unquote_plus(value)
        if name in sent:
            raise Refusal(-1101, "Duplicate values for a parameter detected.")
        if name:
            sent[name] = value
    return sent


def read_json(raw: bytes | str) -> Any:
    """A JSON text with fractional numbers kept as the text they came in. Raises Refusal -1135."""
    try:
        return _JSON.decode(raw)
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise Refusal(-1135, "Invalid JSON Request") from None


def read_object(raw: bytes) -> dict[str, Any]:
    """A JSON body as parameters by name. Raises Refusal."""
    value = read_json(raw)
    if type(value) is not dict:
        raise Refusal(-1135, "Invalid JSON Request")
    return plain(value)


def plain(params: Mapping[str, Any]) -> dict[str, Any]:
    """JSON parameters with scalars as the text a query would hold; nulls are left out, arrays and objects stay."""
    if len(params) > MAX_PAIRS:
        raise Refusal(-1101, "Too many parameters sent for this endpoint.")
    return {
        name: value if type(value) is str else text_of(value) for name, value in params.items() if value is not None
    }


def text_of(value: Any) -> Any:
    """A JSON scalar as text: ``true``, ``5000``, ``0.1``; arrays and objects as they are."""
    if type(value) is str:
        return value
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is int:
        return str(value) if value.bit_length() <= 128 else "NaN"  # no number that any parameter allows
    return repr(value) if type(value) is float else value


_Slot = tuple[str, bool, Any, bool, Reader]


def _slot(param: Param, strict: bool) -> _Slot:
    structured = param.kind in ("json", "symbols", "names")
    return param.name, param.required, param.default, structured, _READERS[param.kind](param, strict)


def _take(slot: _Slot, sent: Mapping[str, Any], instruments: Instruments, found: dict[str, Any]) -> None:
    name, required, default, structured, reader = slot
    value = sent.get(name)
    if value is None:
        if required:
            raise missing(name)
        if default is not None:
            found[name] = default
    elif value == "":
        raise missing(name) if required else Refusal(-1105, f"Parameter '{name}' was empty.")
    elif structured or type(value) is str:
        found[name] = reader(value, instruments)
    else:
        raise _malformed(name)


def _malformed(name: str) -> Refusal:
    return Refusal(-1130, f"Data sent for parameter '{name}' is not valid.")


def _text_reader(param: Param, strict: bool) -> Reader:
    def read(value: str, instruments: Instruments) -> str:
        if len(value) > MAX_TEXT:
            raise _malformed(param.name)
        if not value.isprintable() or "\ufffd" in value:
            raise illegal(param.name, "printable characters")
        return value

    return read


def _int_reader(param: Param, strict: bool) -> Reader:
    name, low, high = param.name, param.low, LARGEST_INT if param.high is None else param.high
    capped = name == "limit" and not strict  # Binance serves its maximum to those who ask for more
    is_time = name in TIMES

    def read(value: str, instruments: Instruments) -> int:
        if _INT.fullmatch(value) is None:
            raise illegal(name, INT_RANGE)
        number = int(value)
        if is_time and number >= MICROSECONDS_FROM:
            number //= 1000
        if number > LARGEST_INT:
            raise Refusal(-1108, f"Parameter '{name}' overflowed.")
        if number > high and capped:
            return high
        if number > high or (low is not None and number < low):
            raise _malformed(name)
        return number

    return read


def _decimal_reader(param: Param, strict: bool) -> Reader:
    def read(value: str, instruments: Instruments) -> int:
        if DECIMAL.fullmatch(value) is None:
            raise illegal(param.name, DECIMAL_RANGE)
        minor = minor_units(value)
        return TOO_PRECISE if minor is None else minor

    return read


def _bool_reader(param: Param, strict: bool) -> Reader:
    words = {"true": True, "false": False, "TRUE": True, "FALSE": False, "True": True, "False": False}

    def read(value: str, instruments: Instruments) -> bool:
        word = words.get(value)
        if word is None:
            raise _malformed(param.name)
        return word

    return read


def _symbol_reader(param: Param, strict: bool) -> Reader:
    def read(value: str, instruments: Instruments) -> Instrument:
        instrument = instruments.get(value)
        if instrument is None:
            raise bad_symbol() if _SYMBOL.fullmatch(value) else illegal(param.name, SYMBOL_RANGE)
        return instrument

    return read


def _symbols_reader(param: Param, strict: bool) -> Reader:
    def read(value: Any, instruments: Instruments) -> tuple[Instrument, ...]:
        wanted = _json_or_none(value) if type(value) is str else value
        if type(wanted) is not list or not all(type(s) is str and _SYMBOL.fullmatch(s) for s in wanted):
            raise illegal(param.name, SYMBOLS_RANGE)
        if not wanted:
            raise missing(param.name)
        if len(set(wanted)) != len(wanted):
            raise Refusal(-1151, "Symbol is present multiple times in the list.")
        if len(wanted) > MAX_SYMBOLS or any(s not in instruments for s in wanted):
            raise bad_symbol()
        return tuple(instruments[s] for s in wanted)

    return read


def _names_reader(param: Param, strict: bool) -> Reader:
    """One name, or a JSON array of names."""

    def read(value: Any, instruments: Instruments) -> tuple[str, ...]:
        wanted = value if type(value) is not str else _json_or_none(value) if value[:1] == "[" else [value]
        if type(wanted) is not list or not all(type(s) is str and _NAME.fullmatch(s) for s in wanted):
            raise _malformed(param.name)
        return tuple(wanted)

    return read


def _enum_reader(param: Param, strict: bool) -> Reader:
    allowed = frozenset(param.values)
    code, text = _enum_refusal(param)

    def read(value: str, instruments: Instruments) -> str:
        if value not in allowed:
            raise Refusal(code, text)
        return value

    return read


def _enum_refusal(param: Param) -> tuple[int, str]:
    if param.name == "type" and "FULL" in param.values:
        return -1139, "Invalid ticker type."
    if param.name.endswith("TimeInForce"):
        return _ENUM_REFUSALS["timeInForce"]
    return _ENUM_REFUSALS.get(param.name, (-1130, f"Data sent for parameter '{param.name}' is not valid."))


def _client_id_reader(param: Param, strict: bool) -> Reader:
    def read(value: str, instruments: Instruments) -> str:
        if CLIENT_ID.fullmatch(value) is None:
            raise illegal(param.name, CLIENT_ID_RANGE)
        return value

    return read


def _json_reader(param: Param, strict: bool) -> Reader:
    def read(value: Any, instruments: Instruments) -> Any:
        parsed = _json_or_none(value) if type(value) is str else value
        if type(parsed) is not list and type(parsed) is not dict:
            raise Refusal(-1135, f"JSON sent for parameter '{param.name}' is not valid")
        return parsed

    return read


def _json_or_none(text: str) -> Any:
    try:
        return _JSON.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None


_READERS: Final[dict[str, Callable[[Param, bool], Reader]]] = {
    "str": _text_reader,
    "int": _int_reader,
    "decimal": _decimal_reader,
    "bool": _bool_reader,
    "symbol": _symbol_reader,
    "symbols": _symbols_reader,
    "names": _names_reader,
    "enum": _enum_reader,
    "client_id": _client_id_reader,
    "json": _json_reader,
}
