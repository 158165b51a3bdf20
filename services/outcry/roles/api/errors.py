"""Every refusal that a client can meet, with Binance's numbers and exact texts (wire-api: texts are API)."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

UNKNOWN_OUTCOME: Final = -1007


class Refusal(Exception):
    """A request that is answered with an error: HTTP ``status``, Binance ``code`` and ``text``.

    ``data`` goes beside them (cancelReplace), ``headers`` onto the response (Retry-After),
    ``errors`` lists what is wrong field by field on ``/v1``. ``spent`` are the limits it touched (limits.Spent).
    """

    def __init__(
        self,
        code: int,
        text: str,
        status: int = 400,
        *,
        data: Any = None,
        headers: Mapping[str, str] | None = None,
        errors: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.status = status
        self.data = data
        self.headers = dict(headers or {})
        self.errors = list(errors)
        self.spent: tuple[Any, ...] = ()


def missing(name: str) -> Refusal:
    return Refusal(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def unwanted(name: str) -> Refusal:
    return Refusal(-1106, f"Parameter '{name}' sent when not required.")


def illegal(name: str, legal: str) -> Refusal:
    return Refusal(-1100, f"Illegal characters found in parameter '{name}'; legal range is '{legal}'.")


def too_precise(name: str) -> Refusal:
    return Refusal(-1111, f"Parameter '{name}' has too much precision.")


def filter_failure(name: str) -> Refusal:
    return Refusal(-1013, f"Filter failure: {name}")


def bad_symbol() -> Refusal:
    return Refusal(-1121, "Invalid symbol.")


def market_closed() -> Refusal:
    return Refusal(-2010, "Market is closed.")


def overloaded(retry_after_seconds: int = 1) -> Refusal:
    return Refusal(
        -1008,
        "Server is currently overloaded with other requests. Please try again in a few minutes.",
        503,
        headers={"Retry-After": str(retry_after_seconds)},
    )


def outcome_unknown() -> Refusal:
    return Refusal(
        UNKNOWN_OUTCOME,
        "Timeout waiting for response from backend server. Send status unknown; execution status unknown.",
        504,
    )
