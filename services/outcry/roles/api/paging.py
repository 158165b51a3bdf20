"""Pages of the native interface: an opaque cursor, the next one in the body and in a Link header (RFC 8288)."""

import base64
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

from outcry.market.instrument import Instrument
from outcry.roles.api.endpoint import Call, Param
from outcry.roles.api.errors import Refusal
from outcry.roles.api.params import ENVELOPE

DEFAULT_PAGE: Final = 100
MAX_PAGE: Final = 1_000
LARGEST_ID: Final = (1 << 53) - 1

PAGE_LIMIT: Final = Param(name="limit", kind="int", default=DEFAULT_PAGE, low=1, high=MAX_PAGE)
CURSOR: Final = Param(name="cursor", note="``next_cursor`` of the page before; left out for the first page.")

_PLACE = re.compile(r"([0-9]{1,16}):([0-9]{1,16})", re.ASCII)

Json = dict[str, Any]


class Place(NamedTuple):
    """Where a page begins: at an id of a symbol."""

    symbol_id: int
    row_id: int


Reading = Callable[[Instrument, int, int], Awaitable[tuple[list[Json], int | None]]]


def place_of(call: Call) -> Place:
    """Where the wanted page begins. Raises Refusal for a cursor that this exchange never gave."""
    text = call.params.get("cursor", "")
    if not text:
        return Place(0, 0)
    match = None
    if text.isascii() and len(text) <= 64:
        padded = text + "=" * (-len(text) % 4)
        match = _PLACE.fullmatch(base64.urlsafe_b64decode(padded).decode("latin-1")) if _is_base64(text) else None
    if match is None or int(match[2]) > LARGEST_ID:
        problem = {"parameter": "cursor", "code": -1130, "detail": "It is not the next_cursor of a page."}
        raise Refusal(-1130, "Data sent for parameter 'cursor' is not valid.", errors=[problem])
    return Place(int(match[1]), int(match[2]))


async def page_of(call: Call, path: str, instruments: Sequence[Instrument], read: Reading) -> Json:
    """One page of rows keyed on (symbol, id).

    ``read(instrument, from_id, limit)`` gives the rows of one symbol and the id at which the next ones begin,
    None at the end.
    """
    place, limit = place_of(call), call.params["limit"]
    rows: list[Json] = []
    following: Place | None = None
    for instrument in sorted(instruments, key=lambda each: each.symbol_id):
        if instrument.symbol_id < place.symbol_id:
            continue
        if len(rows) >= limit:
            following = Place(instrument.symbol_id, 0)
            break
        from_id = place.row_id if instrument.symbol_id == place.symbol_id else 0
        found, next_id = await read(instrument, from_id, limit - len(rows))
        rows += found
        if next_id is not None:
            following = Place(instrument.symbol_id, next_id)
            break
    return paged(call, path, rows, following)


def paged(call: Call, path: str, rows: list[Json], following: Place | None) -> Json:
    """The body of a page; the link to the next goes into the headers, without key, time and signature."""
    if following is None:
        return {"data": rows, "next_cursor": None}
    cursor = base64.urlsafe_b64encode(f"{following.symbol_id}:{following.row_id}".encode()).decode().rstrip("=")
    kept = {name: text for name, text in call.sent.items() if name not in ENVELOPE and type(text) is str}
    call.headers["Link"] = f'<{path}?{urlencode({**kept, "cursor": cursor})}>; rel="next"'
    return {"data": rows, "next_cursor": cursor}


def _is_base64(text: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9_-]+", text, re.ASCII) is not None and len(text) % 4 != 1
