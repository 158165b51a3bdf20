"""What many reads have in common: which symbols they are about, and which stretch of a history."""

from collections.abc import Mapping
from typing import Any, Final

from outcry.market.instrument import HALTED, Instrument
from outcry.roles.api.endpoint import Call, Param
from outcry.roles.api.errors import Refusal
from outcry.roles.api.orderform import one_of
from outcry.roles.api.venue import Venue

TRADING_STATUS: Final = "TRADING"
HALT_STATUS: Final = "HALT"
BREAK_STATUS: Final = "BREAK"
SYMBOL_STATUSES: Final = (TRADING_STATUS, HALT_STATUS, BREAK_STATUS)
DEFAULT_LIMIT: Final = 500  # rows of an answer
MAX_LIMIT: Final = 1_000
MAX_TICKERS: Final = 100  # symbols of one /ticker or /ticker/tradingDay request

SYMBOL: Final = Param(name="symbol", kind="symbol", required=True, example="BTCUSD")
ONE_SYMBOL: Final = Param(name="symbol", kind="symbol", example="BTCUSD")
SYMBOLS: Final = Param(name="symbols", kind="symbols", note='A JSON array: ["BTCUSD","ETHUSD"].')
LIMIT: Final = Param(name="limit", kind="int", default=DEFAULT_LIMIT, low=1, high=MAX_LIMIT)
START_TIME: Final = Param(name="startTime", kind="int")
END_TIME: Final = Param(name="endTime", kind="int")
FROM_ID: Final = Param(name="fromId", kind="int")
SYMBOL_STATUS: Final = Param(name="symbolStatus", kind="enum", values=SYMBOL_STATUSES)


def status_of(instrument: Instrument, venue: Venue) -> str:
    """The trading status as Binance names it; BREAK where the whole partition is halted."""
    if instrument.partition in venue.halted:
        return BREAK_STATUS
    return HALT_STATUS if instrument.status == HALTED else TRADING_STATUS


def the_symbol(call: Call) -> Instrument:
    """The symbol of a request about one. Raises Refusal -1220."""
    instrument: Instrument = call.params["symbol"]
    wanted = call.params.get("symbolStatus")
    if wanted is not None and wanted != status_of(instrument, call.venue):
        raise Refusal(-1220, "The symbol's status does not match the requested symbolStatus.")
    return instrument


def chosen(call: Call) -> list[Instrument]:
    """The symbols that ``symbol`` or ``symbols`` name, or all; of several, those with the wanted status."""
    if "symbol" in call.params:
        return [the_symbol(call)]
    wanted = call.params.get("symbolStatus")
    instruments = call.params.get("symbols") or call.venue.instruments.values()
    return [each for each in instruments if wanted is None or status_of(each, call.venue) == wanted]


def chosen_few(call: Call) -> list[Instrument]:
    """As ``chosen``, but some must be named, and not too many. Raises Refusal."""
    if "symbol" not in call.params and "symbols" not in call.params:
        raise one_of("symbol", "symbols")
    if len(call.params.get("symbols", ())) > MAX_TICKERS:
        raise Refusal(-1130, "Data sent for parameter 'symbols' is not valid.")
    return chosen(call)


def one_or_many(call: Call, answers: list[Any]) -> Any:
    """A request about ``symbol`` gets an object, any other an array."""
    return answers[0] if "symbol" in call.params else answers


def per_symbol_weight(params: Mapping[str, Any]) -> int:
    """4 for each symbol, 200 at most."""
    return min(4 * len(params.get("symbols", (None,))), 200)
