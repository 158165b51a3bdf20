"""Times of an answer in microseconds, for those who ask with ``X-MBX-TIME-UNIT`` (Binance ``rest-api.md``)."""

from typing import Any, Final

from outcry.roles.api.errors import Refusal

TIME_FIELDS: Final = frozenset(
    (
        "serverTime",
        "time",
        "updateTime",
        "transactTime",
        "transactionTime",
        "workingTime",
        "trailingTime",
        "openTime",
        "closeTime",
        "since",
        "T",
    )
)
NEVER: Final = -1  # the time of what has not happened, in any unit
CLOSE_TIME: Final = 6  # column of a kline; its first is the open time
LAST_MICROS: Final = 999  # of the millisecond in which a candle closes
KLINE_PATHS: Final = ("/api/v3/klines", "/api/v3/uiKlines")


def wants_micros(unit: str) -> bool:
    """Reads the header's value, "" when it was not sent. Raises Refusal -1194."""
    if not unit or unit in ("MILLISECOND", "millisecond"):
        return False
    if unit in ("MICROSECOND", "microsecond"):
        return True
    raise Refusal(-1194, "Invalid value for time unit; expected either MICROSECOND or MILLISECOND.")


def in_micros(path: str, value: Any) -> Any:
    """The answer with its times in microseconds."""
    if path in KLINE_PATHS and isinstance(value, list):
        return [_candle(row) for row in value]
    return _scaled(value)


def _candle(row: list[Any]) -> list[Any]:
    """A kline: it closes with the last microsecond before the next one opens, as on the streams."""
    return [row[0] * 1000, *row[1:CLOSE_TIME], row[CLOSE_TIME] * 1000 + LAST_MICROS, *row[CLOSE_TIME + 1 :]]


def _scaled(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: each * 1000 if name in TIME_FIELDS and type(each) is int and each != NEVER else _scaled(each)
            for name, each in value.items()
        }
    return [_scaled(each) for each in value] if isinstance(value, list | tuple) else value
