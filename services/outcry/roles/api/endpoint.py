"""The table row that one request of the Binance interface is: who may ask, what it costs, what it takes, who answers.

REST, the WebSocket API and OpenAPI are all made from the same rows, so a method cannot differ between them.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from outcry.rows import AccountRow, KeyRow

if TYPE_CHECKING:
    from outcry.roles.api.venue import Venue

# Who may ask.
PUBLIC = "public"
KEY_ONLY = "key"  # X-MBX-APIKEY without a signature
READ = "read"  # signed, scope read
TRADE = "trade"  # signed, scope trade
ADMIN = "admin"  # signed, scope admin

DECIMAL = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?", re.ASCII)
CLIENT_ID = re.compile(r"[A-Za-z0-9_.:/-]{1,36}", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Param:
    """One parameter. ``kind``: str, int, decimal, bool, symbol, symbols, names, enum, client_id, json.

    ``low``/``high`` bound an int, ``values`` are an enum's members, ``default`` stands for an absent one.
    """

    name: str
    kind: str = "str"
    required: bool = False
    default: Any = None
    low: int | None = None
    high: int | None = None
    values: tuple[str, ...] = ()
    example: Any = None
    note: str = ""


@dataclass(slots=True)
class Call:
    """One request, whichever socket it came by.

    ``params`` are parsed by the endpoint's table: str, int, bool, or (for kind ``symbol``) an Instrument; a decimal
    is an int of minor units, or ``params.TOO_PRECISE``; absent optional ones without default are missing from the
    mapping. ``sent`` are the raw strings.
    """

    venue: "Venue"
    params: Mapping[str, Any]
    sent: Mapping[str, str]
    account: AccountRow | None = None
    key: KeyRow | None = None
    idempotency_key: str = ""
    valid_until_us: int = 0  # timestamp + recvWindow of a signed request, microseconds
    traceparent: str = ""
    began: float = 0.0  # when the request came, on the steady clock; 0.0 where nobody looked
    headers: dict[str, str] = field(default_factory=dict)  # to put onto the response
    spent: tuple[Any, ...] = ()  # the limits it touched (limits.Spent)

    @property
    def account_id(self) -> int:
        """The signed caller's account."""
        assert self.account is not None
        return self.account.account_id


Answer = Callable[[Call], Awaitable[Any]]


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """``answer`` returns what msgspec encodes as the JSON body, or raises errors.Refusal.

    ``weight`` is the request weight, or a function of the call's parsed params. ``orders`` counts new orders
    (limits per 10 s and day). ``ws`` is the method name of the WebSocket API, "" for none.
    """

    method: str
    path: str
    answer: Answer
    security: str = PUBLIC
    weight: int | Callable[[Mapping[str, Any]], int] = 1
    orders: int = 0
    params: tuple[Param, ...] = ()
    ws: str = ""
    summary: str = ""
    example: Any = None
    tag: str = "market data"
    feature: str = ""  # of features.FEATURES, where it can be switched off
