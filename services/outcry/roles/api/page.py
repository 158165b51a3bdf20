"""The status page at ``/``: symbols, last prices, partitions and health as plain HTML that refreshes itself."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

from outcry import __version__
from outcry.decimals import price_text
from outcry.ports import OutcomeUnknown, OutOfService
from outcry.roles.api.endpoint import Call, Endpoint
from outcry.roles.api.errors import Refusal
from outcry.roles.api.health import worst
from outcry.roles.api.params import Recipe
from outcry.roles.api.selection import TRADING_STATUS, status_of
from outcry.roles.api.venue import Venue

REFRESH_SECONDS: Final = 5
TICKERS: Final = ("GET", "/api/v3/ticker/24hr")

STYLE: Final = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1, h2, h3 { line-height: 1.2; }
h2 { margin-top: 2.5rem; }
h3 { margin: 2rem 0 .5rem; overflow-wrap: anywhere; }
.t { overflow-x: auto; margin: .5rem 0 1.5rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .25rem 1rem .25rem 0; border-bottom: 1px solid #8884; vertical-align: top; }
th { font-size: 14px; font-weight: 600; white-space: nowrap; }
td:first-child { min-width: 6rem; overflow-wrap: anywhere; }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
code, pre { font: 14px/1.5 ui-monospace, monospace; }
h3 code { font-size: 17px; font-weight: 600; }
pre { overflow-x: auto; background: #8881; padding: .75rem; }
ul { padding-left: 1.25rem; }
li { overflow-wrap: anywhere; }
footer { opacity: .7; font-size: 14px; }
"""


def html_page(title: str, body: str, *, refresh_seconds: int = 0) -> str:
    """A whole HTML document that loads nothing else."""
    refresh = f'<meta http-equiv="refresh" content="{refresh_seconds}">' if refresh_seconds else ""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>{refresh}'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>{body}</body></html>'
    )


async def status_page(venue: Venue, endpoints: Sequence[Endpoint], components: Mapping[str, Mapping[str, Any]]) -> str:
    """The page as of now."""
    tickers = await _tickers(venue, endpoints)
    state = worst({name: dict(report) for name, report in components.items()})
    body = (
        f"<h1>Outcry</h1><p>An exchange that speaks the Binance Spot wire protocol. State: <b>{escape(state)}</b>. "
        'See <a href="/docs">the reference</a>, <a href="/openapi.json">OpenAPI</a>, '
        '<a href="/api/health/detailed">health</a> and <a href="/api/metrics">figures</a>.</p>'
        f"<h2>Markets</h2>{_markets(venue, tickers)}<h2>Partitions</h2>{_partitions(components)}"
        f"<h2>Health</h2>{_health(components)}"
        f"<footer>Version {__version__}; refreshes every {REFRESH_SECONDS} s. Not affiliated with Binance.</footer>"
    )
    return html_page("Outcry", body, refresh_seconds=REFRESH_SECONDS)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Sequence[int] = ()) -> str:
    """An HTML table of texts, escaped here; the columns in ``numbers`` are set to the right."""
    marks = ['<{} class="n">' if i in numbers else "<{}>" for i in range(len(heads))]
    head = "".join(mark.format("th") + escape(text) + "</th>" for mark, text in zip(marks, heads, strict=True))
    lines = [
        "<tr>" + "".join(m.format("td") + escape(t) + "</td>" for m, t in zip(marks, row, strict=True)) + "</tr>"
        for row in rows
    ]
    return f'<div class="t"><table><tr>{head}</tr>{"".join(lines)}</table></div>'


def _markets(venue: Venue, tickers: Mapping[str, Mapping[str, Any]]) -> str:
    rows = []
    for symbol, instrument in sorted(venue.instruments.items()):
        last = venue.last_prices.get(instrument.symbol_id, 0)
        ticker = tickers.get(symbol, {})
        rows.append(
            [
                symbol,
                _trimmed(price_text(instrument, last)) if last else "no trade yet",
                f"{ticker['priceChangePercent']} %" if "priceChangePercent" in ticker else "",
                _grouped(_trimmed(str(ticker.get("volume", "")))),
                _grouped(str(ticker.get("count", ""))),
                "trading" if status_of(instrument, venue) == TRADING_STATUS else "halted",
                str(instrument.partition),
            ]
        )
    if not rows:
        return "<p>No symbol is listed yet.</p>"
    heads = ("symbol", "last price", "24 h change", "24 h volume (base)", "24 h trades", "state", "partition")
    return table(heads, rows, numbers=(1, 2, 3, 4))


def _partitions(components: Mapping[str, Mapping[str, Any]]) -> str:
    parts = components.get("partitions", {}).get("partitions", [])
    rows = [[str(p["partition"]), str(p["status"]), str(p["next_offset"]), str(p["epoch"])] for p in parts]
    return table(("partition", "state", "next offset", "epoch"), rows, numbers=(2, 3))


def _health(components: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [[name, str(r.get("status", "")), str(r.get("detail", ""))] for name, r in components.items()]
    return table(("component", "state", "cause"), rows)


async def _tickers(venue: Venue, endpoints: Sequence[Endpoint]) -> dict[str, Mapping[str, Any]]:
    """The 24 h statistics by symbol, from the endpoint that serves them; empty when it cannot."""
    endpoint = next((e for e in endpoints if (e.method, e.path) == TICKERS), None)
    if endpoint is None or not venue.instruments:
        return {}
    try:
        params = Recipe(endpoint.params).read({}, venue.instruments)
        found = await endpoint.answer(Call(venue, params, {}))
    except (Refusal, OutOfService, OutcomeUnknown):
        return {}
    return {each["symbol"]: each for each in found if "symbol" in each}


def _trimmed(number: str) -> str:
    whole, dot, fraction = number.partition(".")
    return f"{whole}.{fraction.rstrip('0').ljust(2, '0')}" if dot else number


def _grouped(number: str) -> str:
    """Thousands apart, as people read them."""
    whole, dot, fraction = number.partition(".")
    return f"{int(whole):,}{dot}{fraction}" if whole else number
